"""Monitor functions: where a mesh should be finer, and by how much."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from firedrake import Function, FunctionSpace, SpatialCoordinate, as_ufl, interpolate
from firedrake.interpolation import get_interpolator

from meshing.background import CarriedField
from meshing.recovery import vertex_values
from meshing.shaping import Shaping


class Monitor(ABC):
    """Give for a mesh the monitor function m on it.

    Cells are to be equidistributed: the same integral of m over all. Movers ask again and again, with the vertices of
    the same mesh moved in place or with new meshes, so that a call has to be cheap. One that also knows directions
    has a method ``metric(mesh)`` that gives a symmetric positive definite P1 tensor field.
    """

    @abstractmethod
    def __call__(self, mesh) -> Function:
        """Evaluate the monitor function; collective.

        Parameters
        ----------
        mesh
            Mesh of triangles in 2D or tetrahedra in 3D.

        Returns
        -------
        Function
            Continuous P1 on the mesh, dimensionless, positive, finite, its mean over the domain 1 to 1e-12; a new one
            each time.
        """


class ExpressionMonitor(Monitor):
    """Evaluate an expression of the place at the vertices, wherever they are.

    Parameters
    ----------
    expression
        Takes the spatial coordinates x of a mesh [m], a vector of UFL, and returns a positive scalar expression of
        UFL, for instance ``lambda x: 1 + 10 * exp(-50 * dot(x, x))``. What changes with time should be a ``Constant``
        in it: for new numbers code would be compiled anew.
    shaping
        What to do with the values; by default they are divided by their mean only.

    Raises
    ------
    ValueError
        When called, on all ranks, if the expression is no scalar, or not positive and finite in every vertex.
    """

    def __init__(self, expression: Callable[[Any], Any], shaping: Shaping | None = None):
        self._expression = expression
        self._shaping = shaping or Shaping()

    def __call__(self, mesh) -> Function:
        """Evaluate the expression in the vertices, exactly."""
        expression = as_ufl(self._expression(SpatialCoordinate(mesh)))
        if expression.ufl_shape != ():
            raise ValueError(f"expression: got one of shape {expression.ufl_shape}, expected a scalar; take its norm")
        # Half the time of Function.interpolate, which goes through a form's preprocessing first.
        values = get_interpolator(interpolate(expression, FunctionSpace(mesh, "CG", 1))).assemble()
        return self._shaping.monitor_function(mesh, values.dat.data_ro_with_halos, name="expression")


class FieldMonitor(Monitor):
    """Take a field that is the monitor function up to a factor, from a file for instance.

    The field is shaped once, on its own mesh as it is now; at the vertices of other meshes, and of this one when it has
    been moved, it is interpolated linearly, beyond the domain from the nearest point of it, and divided by its mean
    there.

    Parameters
    ----------
    field
        Positive scalar field of any degree and unit, of which the values in the vertices count.
    shaping
        What to do with the values; by default they are divided by their mean only.

    Raises
    ------
    ValueError
        On all ranks: for a field that is no scalar, or not positive and finite in every vertex; when called, for a mesh
        with a vertex whose place is not finite.
    """

    def __init__(self, field: Function, shaping: Shaping | None = None):
        mesh, values = field.function_space().mesh(), vertex_values(field)
        self._given = CarriedField((shaping or Shaping()).monitor_function(mesh, values, name=field.name()))

    def __call__(self, mesh) -> Function:
        """Interpolate the shaped field at the vertices."""
        return Shaping(smoothing=0.0).monitor_function(mesh, self._given.at_vertices(mesh))


class SumMonitor(Monitor):
    r"""Add monitor functions.

    .. math:: m = \sum_k w_k m_k \Big/ \sum_k w_k

    Parameters
    ----------
    monitors
        One or more monitor functions m_k.
    weights
        w_k, positive, one for each; all the same if not given.
    shaping
        What to do with the sum; by default nothing.

    Raises
    ------
    ValueError
        For no monitor functions, another number of weights, or weights that are not positive and finite.

    Notes
    -----
    Each m_k has the mean 1, so that the weights say which share of the cells goes where which m_k asks for them: Budd,
    Huang and Russell (2009), Acta Numerica 18, 111.
    """

    def __init__(
        self, monitors: Sequence[Monitor], weights: Sequence[float] | None = None, shaping: Shaping | None = None
    ):
        self._monitors = tuple(monitors)
        self._weights = np.ones(len(self._monitors)) if weights is None else np.array(weights, dtype=float)
        if not self._monitors:
            raise ValueError("monitors: got none, expected one or more")
        good = np.isfinite(self._weights) & (self._weights > 0.0)
        if self._weights.shape != (len(self._monitors),) or not good.all():
            raise ValueError(
                f"weights: got {weights}, expected a positive number for each of {len(self._monitors)} monitors; leave "
                "out those of no weight"
            )
        self._shaping = shaping or Shaping()

    def __call__(self, mesh) -> Function:
        """Evaluate and add up."""
        shares = self._weights / self._weights.sum()
        parts = [
            share * monitor(mesh).dat.data_ro_with_halos for share, monitor in zip(shares, self._monitors, strict=True)
        ]
        return self._shaping.monitor_function(mesh, np.sum(parts, axis=0))


@dataclass(frozen=True)
class MonitorEntry:
    """A monitor function of a field in the registry.

    Attributes
    ----------
    summary
        Where it asks for small cells, in a line.
    place
        Where its class is, ``module:Class``; imported when asked for. It takes the field and ``shaping``.
    """

    summary: str
    place: str

    def load(self) -> Callable[..., Monitor]:
        """Return the class."""
        module, name = self.place.split(":")
        return getattr(import_module(module), name)


MONITORS: dict[str, MonitorEntry] = {
    "arc-length": MonitorEntry(
        "where the field is steep: cells of equal length of its graph", "meshing.field_monitors:ArcLengthMonitor"
    ),
    "gradient": MonitorEntry("where the field is steep: 1 + |gradient|", "meshing.field_monitors:GradientMonitor"),
    "hessian": MonitorEntry(
        "where the field is curved, for the least error of linear interpolation",
        "meshing.field_monitors:HessianMonitor",
    ),
    "metric": MonitorEntry(
        "as hessian, with directions: cells may be long along fronts and thin across", "meshing.metric:MetricMonitor"
    ),
}


def make_monitor(name: str, field: Function, shaping: Shaping | None = None) -> Monitor:
    """Return the monitor function of a name for a field, with its defaults.

    Parameters
    ----------
    name
        Name in ``MONITORS``.
    field
        Scalar field, any unit.
    shaping
        What to do with the values.

    Raises
    ------
    ValueError
        If there is none of that name; as the monitor function for the field.
    """
    if name not in MONITORS:
        raise ValueError(f"monitor: got {name!r}, expected one of {', '.join(MONITORS)}")
    return MONITORS[name].load()(field, shaping=shaping)
