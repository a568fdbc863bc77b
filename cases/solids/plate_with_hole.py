"""A plate with a hole under tension: Kirsch's solution, and the stress that is three times as high at the hole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from firedrake import Function, FunctionSpace
from pydantic import Field

from cases.options import CaseOptions
from cases.solids.elastic import SolidOptions, solve_and_estimate
from cases.steady_case import SteadyCase, density_monitor
from cases.units import Unit
from fem.curved_mesh import CurvedMesh
from fem.error_estimate import wanted_density
from fem.problems.plate_with_hole import HOLE, PlateWithHole
from fem.steady import Quantity, SteadySolution

PLATE = PlateWithHole()
KIRSCH = "Kirsch (1898)"


class PlateOptions(SolidOptions):
    """Options of the plate."""

    resolution: Annotated[float, Unit("m")] = Field(
        0.25,
        gt=0.01,
        le=1.0,
        description="length of edges; the quarter of the plate is 4 wide, the hole's radius 1 [m]",
    )
    goal: Literal["energy", "stress-peak"] = Field(
        "energy",
        description="whose error the mesh is moved for and the error is of: the energy norm, or the stress at the hole",
    )


class PlateCase(SteadyCase):
    """A quarter of the plate, see :mod:`fem.problems.plate_with_hole`, the hole round by curved elements."""

    name: ClassVar[str] = "plate-with-hole"
    summary: ClassVar[str] = "elastic plate with a hole: Kirsch's stress concentration of 3, exact"
    title: ClassVar[str] = "Plate with a hole"
    description: ClassVar[str] = (
        "A plate is pulled along x; at the top of its hole the stress is three times as high. The solution is exact. "
        "The error is that in the energy norm or, with goal=stress-peak, the relative one of the mean stress around "
        "the peak, for which an adjoint solution says where cells are needed."
    )
    Options: ClassVar[type[CaseOptions]] = PlateOptions
    markers: ClassVar[Mapping[int, str]] = {1: "left", 2: "right", 3: "bottom", 4: "top", HOLE: "hole"}
    smallest: ClassVar[dict[str, Any]] = {"resolution": 0.6, "rounds": 1}

    def mesh(self, options: PlateOptions):
        """Return triangles with straight edges; vertices at the hole slide along its circle."""
        return PLATE.mesh(size=options.resolution)

    def solve(self, options: PlateOptions, mesh, start: Function | None) -> SteadySolution:
        """See :meth:`cases.steady_case.SteadyCase.solve`."""
        curved, by_energy = CurvedMesh(mesh, {HOLE: PLATE.hole}), options.goal == "energy"
        u, estimate, total = solve_and_estimate(
            lambda: PLATE.solve(curved.mesh, options.degree),
            PLATE.material,
            None if by_energy else PLATE.peak_stress,
        )
        peak = Quantity(float(PLATE.peak_stress(u)), "", PLATE.exact_peak_stress, KIRSCH)
        wrong = abs(peak.value - PLATE.exact_peak_stress) / PLATE.exact_peak_stress
        stress = Function(FunctionSpace(curved.mesh, "CG", 1), name="stress along x over the tension")
        stress.interpolate(estimate.recovered[0, 0] / PLATE.tension)
        return SteadySolution(
            state=u,
            drawn=curved.on_straight(stress),
            monitor=density_monitor(curved.on_straight(wanted_density(estimate, options.degree)), options),
            estimate=total if by_energy else total / PLATE.exact_peak_stress,
            error=PLATE.errors(u)[1] if by_energy else wrong,
            quantities={
                "stress concentration": Quantity(PLATE.stress_concentration(u), "", 3.0, KIRSCH),
                "mean stress at the peak over the tension": peak,
            },
            fields=(curved.on_straight(u),),
        )
