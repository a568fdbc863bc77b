"""Vortices in a box that decay: the exact solution of the Navier-Stokes equations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from firedrake import Constant, Function, SpatialCoordinate, UnitSquareMesh, as_vector, cos, exp, pi, sin
from pydantic import Field

from cases.case import Case
from cases.flow_setup import FlowOptions, FlowSetup, flow_setup
from cases.options import CaseOptions
from cases.units import Unit
from fem.navier_stokes_stepper import IMPLICIT_TABLEAUX
from fem.problems.navier_stokes import PAIRS, NavierStokes


class TaylorGreenOptions(FlowOptions):
    """Options of the vortices; lengths in the side of the square, velocities in the greatest of the beginning."""

    resolution: int = Field(
        12, ge=2, le=500, description="squares a side, each cut into four triangles; n give 2 n (n + 1) + 1 vertices"
    )
    viscosity: Annotated[float, Unit("m^2/s")] = Field(0.01, gt=0, le=10, description="kinematic viscosity [m^2/s]")
    pair: Literal[tuple(PAIRS)] = Field(  # type: ignore[valid-type]
        "taylor-hood", description="elements of velocity and pressure"
    )
    t_end: Annotated[float, Unit("s")] = Field(0.5, gt=0, le=1000, description="simulated time [s]")
    dt: Annotated[float, Unit("s")] = Field(0.02, gt=0, le=10, description="time step [s]")
    tableau: Literal[tuple(IMPLICIT_TABLEAUX)] = Field(  # type: ignore[valid-type]
        "sdirk3", description="implicit Runge-Kutta scheme"
    )


class TaylorGreen(Case):
    r"""Taylor and Green's vortices.

    .. math:: u = (\sin \pi x \cos \pi y,\ -\cos \pi x \sin \pi y)\, e^{-2 \pi^2 \nu t},\qquad
              p = \tfrac14 (\cos 2 \pi x + \cos 2 \pi y)\, e^{-4 \pi^2 \nu t}

    On the unit square nothing flows through the sides, along which the exact velocity is given. The error is that of
    the velocity in L2 at the end, of order 3 in the size of the cells.

    Notes
    -----
    G. I. Taylor, A. E. Green (1937), Proc. R. Soc. A 158, 499; the plane flow: G. I. Taylor (1923), Phil. Mag. 46, 671.
    """

    name: ClassVar[str] = "taylor-green"
    summary: ClassVar[str] = "vortices that decay: incompressible flow against the exact solution"
    title: ClassVar[str] = "Taylor-Green vortices"
    description: ClassVar[str] = (
        "A vortex turns in the unit square and decays by friction. It is an exact solution of the Navier-Stokes "
        "equations; the error is that of the velocity at the end."
    )
    Options: ClassVar[type[CaseOptions]] = TaylorGreenOptions
    markers: ClassVar[Mapping[int, str]] = {1: "left", 2: "right", 3: "bottom", 4: "top"}
    smallest: ClassVar[Mapping[str, Any]] = {
        "resolution": 4,
        "dt": 0.05,
        "t_end": 0.1,
        "move_every": 1,
        "motion_steps": 1,
    }

    def mesh(self, options: TaylorGreenOptions):
        """Return ``resolution`` squares a side, each cut into four triangles by its diagonals."""
        return UnitSquareMesh(options.resolution, options.resolution, diagonal="crossed")

    def build(self, options: TaylorGreenOptions, mesh) -> FlowSetup:
        """See :meth:`cases.case.Case.build`."""

        def exact(x, t):
            decay = exp(-2 * pi**2 * options.viscosity * t)
            return sin(pi * x[0]) * cos(pi * x[1]) * decay, -cos(pi * x[0]) * sin(pi * x[1]) * decay

        problem = NavierStokes(
            mesh=mesh,
            viscosity=options.viscosity,
            velocity=dict.fromkeys((1, 2, 3, 4), exact),
            pair=options.pair,
        )
        state = Function(problem.space(), name="flow")

        def begin() -> None:
            state.subfunctions[0].interpolate(as_vector(exact(SpatialCoordinate(mesh), Constant(0.0))))

        return flow_setup(problem, state, begin, options, exact=exact)
