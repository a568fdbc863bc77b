"""Bed elevation on a mesh from a UFL expression, a Function, or gridded data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from firedrake import Function, SpatialCoordinate, VectorFunctionSpace, assemble, interpolate
from scipy.interpolate import RegularGridInterpolator
from ufl.core.expr import Expr

from fem.problems.shallow_water import nodal_space


@dataclass(frozen=True)
class Grid:
    """Values on a rectilinear grid, bilinear in between.

    Parameters
    ----------
    x, y
        Coordinates of the grid lines [m], increasing, shapes (nx,) and (ny,).
    values
        Elevation, positive up [m], shape (nx, ny).

    Raises
    ------
    ValueError
        If shapes do not match, coordinates do not increase, or a value is not finite.
    """

    x: np.ndarray
    y: np.ndarray
    values: np.ndarray

    def __post_init__(self):
        if self.values.shape != (len(self.x), len(self.y)):
            raise ValueError(
                f"gridded bathymetry: got values of shape {self.values.shape}, expected "
                f"{(len(self.x), len(self.y))} (x, y); transpose or crop the data"
            )
        if (np.diff(self.x) <= 0).any() or (np.diff(self.y) <= 0).any():
            raise ValueError("gridded bathymetry: got coordinates that do not increase; flip or sort the data")
        if not np.isfinite(self.values).all():
            missing = int((~np.isfinite(self.values)).sum())
            raise ValueError(
                f"gridded bathymetry: got {missing} NaN or infinite values, expected none; fill the gaps first"
            )

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Interpolate bilinearly at points of shape (n, 2) [m]; returns shape (n,) [m].

        Raises
        ------
        ValueError
            If a point lies outside the grid by more than 1e-9 of its extent.
        """
        low = np.array([self.x[0], self.y[0]])
        high = np.array([self.x[-1], self.y[-1]])
        slack = 1e-9 * (high - low)
        if len(points) and ((points < low - slack) | (points > high + slack)).any():
            raise ValueError(
                f"gridded bathymetry: got mesh points from {points.min(axis=0)} to {points.max(axis=0)}, expected "
                f"all within {low} to {high}; use a smaller domain or a larger grid"
            )
        return self._interpolator(np.clip(points, low, high))

    @cached_property
    def _interpolator(self) -> RegularGridInterpolator:
        return RegularGridInterpolator((self.x, self.y), self.values)


def bathymetry(mesh, source: Expr | Function | Grid | float, *, degree: int = 1) -> Function:
    """Sample a bed elevation in the nodes of the method's space.

    Parameters
    ----------
    mesh
        Mesh to sample on. After its nodes have moved, sample again.
    source
        UFL expression, Function or number [m], or a :class:`Grid`.
    degree
        0 or 1: the degree of the method. With 1 the result is continuous wherever the source is.

    Returns
    -------
    Function
        Bed elevation b [m] in :func:`fem.problems.shallow_water.nodal_space`.
    """
    space = nodal_space(mesh, degree)
    bed = Function(space, name="bathymetry")
    if isinstance(source, Grid):
        points, of_nodes = _places(space, degree)
        bed.dat.data_wo_with_halos[:] = source(points)[of_nodes]
    else:
        bed.interpolate(source)
    return bed


def _places(space, degree: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the places of the nodes, shape (N, 2) [m], each vertex once, and which of them each node is at, (n,)."""
    mesh = space.mesh()
    coordinates = mesh.coordinates.function_space()
    nodes = np.arange(space.node_set.total_size)
    if coordinates.ufl_element().degree() > 1:
        equispaced = VectorFunctionSpace(mesh, "DG", degree, variant="equispaced")
        return assemble(interpolate(SpatialCoordinate(mesh), equispaced)).dat.data_ro_with_halos, nodes
    vertices, of_cells = mesh.coordinates.dat.data_ro_with_halos, coordinates.cell_node_map().values_with_halo
    nodes[space.cell_node_map().values_with_halo] = of_cells if degree == 1 else np.arange(len(of_cells))[:, None]
    return vertices if degree == 1 else vertices[of_cells].mean(axis=1), nodes
