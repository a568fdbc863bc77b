"""Adapter between the classical and the learned half: mesh and graph, field and tensor, moving-mesh driver."""
