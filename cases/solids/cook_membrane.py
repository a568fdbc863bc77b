"""Cook's membrane: bending and shear of a tapered panel, and a corner in which the stress is infinite."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from firedrake import Function
from pydantic import Field, model_validator

from cases.options import CaseOptions
from cases.solids.elastic import SolidOptions, shear_stress, solve_and_estimate
from cases.steady_case import SteadyCase, density_monitor
from cases.units import Unit
from fem.error_estimate import wanted_density
from fem.problems.cook_membrane import MATERIAL, PUBLISHED, cook_mesh, deflection, solve_cook
from fem.problems.elasticity import Material, check_degree
from fem.steady import Quantity, SteadySolution


class CookOptions(SolidOptions):
    """Options of the membrane."""

    degree: Literal[1, 2] = Field(2, description="degree of the elements")
    resolution: Annotated[float, Unit("m")] = Field(
        6.0, gt=0.2, le=16.0, description="length of edges; the panel is 48 long [m]"
    )
    goal: Literal["energy", "deflection"] = Field(
        "energy", description="whose error the mesh is moved for: the energy norm, or the deflection"
    )
    plane: Literal["stress", "strain"] = Field("stress", description="a thin sheet or a thick body")
    poisson: float = Field(
        MATERIAL.poisson, ge=0.0, lt=0.5, description="Poisson's ratio; 0.4999 in plane strain hardly changes its area"
    )

    @model_validator(mode="after")
    def _check_locking(self) -> CookOptions:
        check_degree(self.degree, self.material)
        return self

    @property
    def material(self) -> Material:
        """What the panel is of: E = 1 Pa."""
        return Material(young=MATERIAL.young, poisson=self.poisson, plane=self.plane)


class CookCase(SteadyCase):
    """The panel, see :mod:`fem.problems.cook_membrane`."""

    name: ClassVar[str] = "cook-membrane"
    summary: ClassVar[str] = "Cook's membrane: the deflection of a tapered panel, published"
    title: ClassVar[str] = "Cook's membrane"
    description: ClassVar[str] = (
        "A tapered panel is clamped on the left and sheared on the right. The error is that of the deflection in the "
        "middle of the loaded side against the published one, 23.96, whose last digit is worth 0.02 %; with another "
        "material there is none."
    )
    Options: ClassVar[type[CaseOptions]] = CookOptions
    markers: ClassVar[Mapping[int, str]] = {2: "loaded", 3: "clamped"}
    smallest: ClassVar[dict[str, Any]] = {"resolution": 12.0, "rounds": 1}

    def mesh(self, options: CookOptions):
        """Return triangles of the panel."""
        return cook_mesh(size=options.resolution)

    def solve(self, options: CookOptions, mesh, start: Function | None) -> SteadySolution:
        """See :meth:`cases.steady_case.SteadyCase.solve`."""
        u, estimate, total = solve_and_estimate(
            lambda: solve_cook(mesh, degree=options.degree, material=options.material),
            options.material,
            None if options.goal == "energy" else deflection,
        )
        known = PUBLISHED if options.material == MATERIAL else None
        found = Quantity(float(deflection(u)), "m", known, "fine meshes of many elements" if known else "")
        return SteadySolution(
            state=u,
            drawn=shear_stress(estimate.recovered),
            monitor=density_monitor(wanted_density(estimate, options.degree), options),
            estimate=total,
            error=None if found.difference is None else abs(found.difference),
            quantities={"deflection at (48, 52)": found},
            fields=(u,),
        )
