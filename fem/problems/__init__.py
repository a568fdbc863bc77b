"""Partial differential equations, one a file, apart from how they are solved in time."""
