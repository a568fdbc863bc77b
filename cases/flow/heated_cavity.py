"""Natural convection in a square cavity that is hot on the left and cold on the right."""

from __future__ import annotations

from collections.abc import Mapping
from math import hypot, sqrt
from typing import Any, ClassVar

from firedrake import Function, RectangleMesh, grad, split
from pydantic import Field

from cases.options import CaseOptions
from cases.steady_case import SteadyCase, SteadyOptions, density_monitor
from fem.error_estimate import recovery_estimate, wanted_density
from fem.problems.boussinesq import PUBLISHED, REFINED, HeatedCavity
from fem.steady import Quantity, SteadySolution
from meshing.monitor import SumMonitor

# Of temperature and velocity.
DEGREE = 2


class CavityOptions(SteadyOptions):
    """Options of the cavity."""

    resolution: int = Field(
        16, ge=4, le=200, description="squares a side, each cut into two triangles; velocity and temperature are P2"
    )
    rayleigh: float = Field(
        1e6, ge=1.0, le=1e7, description="Rayleigh number; published are 1e3, 1e4, 1e5 and 1e6, and so is their error"
    )
    prandtl: float = Field(0.71, ge=0.01, le=100.0, description="Prandtl number; 0.71 of air")


def published_nusselt(options: CavityOptions) -> tuple[float | None, str]:
    """Return the Nusselt number published for the options and where; None and nothing where there is none."""
    if options.prandtl != HeatedCavity.prandtl or options.rayleigh not in PUBLISHED:
        return None, ""
    if options.rayleigh in REFINED:
        return REFINED[options.rayleigh], "Hortmann, Perić and Scheuerer (1990)"
    return PUBLISHED[options.rayleigh], "de Vahl Davis (1983)"


class CavityCase(SteadyCase):
    """De Vahl Davis' benchmark, see :mod:`fem.problems.boussinesq`."""

    name: ClassVar[str] = "heated-cavity"
    summary: ClassVar[str] = "natural convection in a heated cavity: Nusselt numbers, published"
    title: ClassVar[str] = "Heated cavity"
    description: ClassVar[str] = (
        "Air rises at the hot wall on the left and sinks at the cold one on the right, in layers that are the thinner "
        "the greater the Rayleigh number. The error is that of the heat through the hot wall, taken from the gradient "
        "there, against published Nusselt numbers; with another Rayleigh or Prandtl number there is none."
    )
    Options: ClassVar[type[CaseOptions]] = CavityOptions
    markers: ClassVar[Mapping[int, str]] = {1: "hot", 2: "cold", 3: "bottom", 4: "top"}
    smallest: ClassVar[dict[str, Any]] = {"resolution": 6, "rayleigh": 1e4, "rounds": 1}

    def mesh(self, options: CavityOptions):
        """Return ``resolution`` squares a side, each cut into two triangles."""
        return RectangleMesh(options.resolution, options.resolution, 1.0, 1.0)

    def solve(self, options: CavityOptions, mesh, start: Function | None) -> SteadySolution:
        """See :meth:`cases.steady_case.SteadyCase.solve`."""
        problem = HeatedCavity(prandtl=options.prandtl)
        w = problem.solve(mesh, options.rayleigh, start=start)
        u, _, temperature = split(w)
        heat, flow = (recovery_estimate(mesh, flux, DEGREE) for flux in (grad(temperature), grad(u)))
        known, source = published_nusselt(options)
        numbers = {
            "Nusselt number, mean over the cavity": problem.nusselt(w),
            "Nusselt number at the hot wall": -problem.wall_nusselt(w, problem.hot),
        }
        quantities = {name: Quantity(value, "", known, source) for name, value in numbers.items()}
        wrong = quantities["Nusselt number at the hot wall"].difference
        velocity, _, shown = w.subfunctions
        velocity.rename("velocity")
        shown.rename("temperature")
        return SteadySolution(
            state=w,
            drawn=shown,
            monitor=SumMonitor([density_monitor(wanted_density(one, DEGREE), options) for one in (heat, flow)]),
            # Speeds go like the square root of the Rayleigh number.
            estimate=hypot(heat.total, flow.total / sqrt(options.rayleigh)),
            error=None if wrong is None else abs(wrong),
            quantities=quantities,
            fields=(velocity,),
        )
