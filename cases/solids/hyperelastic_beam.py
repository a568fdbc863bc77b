"""A thin beam bent by more than half its length, against the elastica."""

from __future__ import annotations

from collections.abc import Mapping
from math import hypot
from typing import Any, ClassVar

from firedrake import Constant, Function, RectangleMesh, as_vector
from pydantic import Field

from cases.options import CaseOptions
from cases.solids.elastic import SolidOptions, shear_stress
from cases.steady_case import SteadyCase, density_monitor
from fem.analytic.elastica import elastica_tip
from fem.error_estimate import wanted_density
from fem.problems.elasticity import Material, value_at
from fem.problems.hyperelasticity import material_stress_estimate, solve_hyperelastic
from fem.steady import Quantity, SteadySolution

CLAMPED, LOADED = 1, 2
STEPS = 10
ELASTICA = "elastica, Bisshopp and Drucker (1945)"


class BeamOptions(SolidOptions):
    """Options of the beam."""

    load: float = Field(10.0, ge=0.01, le=20.0, description="force at the tip, P L^2 / E I")
    slenderness: int = Field(25, ge=5, le=200, description="length over thickness")
    rows: int = Field(
        4,
        ge=1,
        le=32,
        description="squares across, each cut into four triangles; along there are slenderness times that",
    )


class BeamCase(SteadyCase):
    """A cantilever of length 1, E I = 1, nu = 0, neo-Hookean, see :mod:`fem.problems.hyperelasticity`."""

    name: ClassVar[str] = "hyperelastic-beam"
    summary: ClassVar[str] = "neo-Hookean cantilever bent by most of its length, beside the elastica"
    title: ClassVar[str] = "Hyperelastic beam"
    description: ClassVar[str] = (
        "A cantilever is bent by a force at its tip whose direction stays. The error is how far the tip is from that "
        "of the elastica, over its way. The elastica is infinitely thin: shear and stretch of the body, which it does "
        "without, go like the square of the thickness and are left of the error on fine meshes: 0.2 % at a slenderness "
        "of 25 and the load 10."
    )
    Options: ClassVar[type[CaseOptions]] = BeamOptions
    markers: ClassVar[Mapping[int, str]] = {CLAMPED: "clamped", LOADED: "loaded"}
    smallest: ClassVar[dict[str, Any]] = {"slenderness": 10, "rows": 2, "rounds": 1}

    def mesh(self, options: BeamOptions):
        """Return squares across and along, each cut into four triangles."""
        along = options.rows * options.slenderness
        return RectangleMesh(along, options.rows, 1.0, 1.0 / options.slenderness, diagonal="crossed")

    def solve(self, options: BeamOptions, mesh, start: Function | None) -> SteadySolution:
        """See :meth:`cases.steady_case.SteadyCase.solve`."""
        height = 1.0 / options.slenderness
        material = Material(young=12.0 / height**3, poisson=0.0)
        u = solve_hyperelastic(
            mesh,
            material,
            degree=options.degree,
            fixed={CLAMPED: (0.0, 0.0)},
            tractions={LOADED: as_vector([0.0, Constant(options.load / height)])},
            steps=STEPS,
            start=start,
        )
        estimate = material_stress_estimate(u, material)
        back, across = value_at(u, (1.0, 0.5 * height))
        known = elastica_tip(options.load)
        return SteadySolution(
            state=u,
            drawn=shear_stress(estimate.recovered),
            monitor=density_monitor(wanted_density(estimate, options.degree), options),
            estimate=estimate.total,
            error=hypot(across - known[0], -back - known[1]) / hypot(*known),
            quantities={
                "tip across": Quantity(across, "m", known[0], ELASTICA),
                "tip back": Quantity(-back, "m", known[1], ELASTICA),
            },
            fields=(u,),
        )
