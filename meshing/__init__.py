"""Meshes, their geometry and quality, monitor functions and conventional movers (numpy, scipy, Firedrake)."""
