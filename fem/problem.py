"""What every partial differential equation of driftmesh offers to a time stepper."""

from __future__ import annotations

from abc import ABC, abstractmethod

from firedrake import Function, FunctionSpace
from ufl.core.expr import Expr
from ufl.form import Form


class Problem(ABC):
    r"""A conservation law :math:`\partial_t U + \nabla\cdot F(U) = S`, apart from how it is stepped in time.

    A subclass is a frozen dataclass of parameters, each with its unit in the field's description.
    """

    @abstractmethod
    def space(self, mesh) -> FunctionSpace:
        """Return the function space of the unknown on this mesh."""

    @abstractmethod
    def set_time(self, t: float) -> None:
        """Prepare what depends on time (boundary records, sources) for evaluation at t [s]."""

    @abstractmethod
    def residual(self, u: Function, v, *, mesh_velocity: Expr | None = None) -> Form:
        r"""Return the form :math:`R(U; v)` with :math:`(\partial_t U, v) = R(U; v)`.

        With a mesh velocity w the form is that of the arbitrary Lagrangian-Eulerian frame: the flux is
        :math:`F - w U` and v moves with the mesh.
        """
