"""Exact solutions as numpy functions: no mesh, no Firedrake."""
