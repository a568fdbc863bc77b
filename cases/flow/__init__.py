"""Incompressible flow and natural convection."""
