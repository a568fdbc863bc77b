"""Solids and the heated cavity beside exact and published numbers, on fixed meshes and moved ones of as many cells."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from cases.moving import FIXED
from cases.validation.case_runs import mesh_of, run_case
from cases.validation.row import Row

MOVERS = (FIXED, "mmpde", "drift")
_WALL, _MEAN = "Nusselt number at the hot wall", "Nusselt number, mean over the cavity"
_PEAK = "mean stress at the peak over the tension"


@dataclass(frozen=True)
class Check:
    """A case, its options, and how far its quantities may be from the published ones.

    Attributes
    ----------
    suite, words
        Of the rows.
    case, options
        What to run, options as ``key=value``.
    shares
        By quantity the greatest relative difference, on the fixed mesh and on moved ones.
    """

    suite: str
    words: str
    case: str
    options: tuple[str, ...]
    shares: dict[str, tuple[float, float]] = field(default_factory=dict)

    def rows(self) -> Iterator[Row]:
        """Run the case with each of the movers."""
        for mover in MOVERS:
            began = time.perf_counter()
            run = run_case(self.case, mover, *self.options)
            seconds = time.perf_counter() - began
            for name, shares in self.shares.items():
                one = run["metrics"].get("quantities", {}).get(name, {})
                published = one.get("published", float("nan"))
                yield Row(
                    self.suite,
                    f"{self.words}: {name}",
                    "within",
                    published,
                    one.get("value", float("nan")),
                    tolerance=abs(published) * shares[mover != FIXED],
                    seconds=seconds,
                    mesh=mesh_of(run),
                    source=one.get("source", ""),
                )
                seconds = 0.0


# By Rayleigh number: squares a side, and the shares for the Nusselt number at the wall and the mean one.
_CAVITIES = {
    "1e3": (12, (0.002, 0.001), (0.0005, 0.0005)),
    "1e4": (16, (0.01, 0.005), (0.001, 0.0005)),
    "1e5": (20, (0.03, 0.01), (0.002, 0.0005)),
    "1e6": (32, (0.04, 0.01), (0.005, 0.0005)),
}
CHECKS = (
    Check(
        "plate with a hole",
        "P2, moved for the energy",
        "plate-with-hole",
        ("degree=2",),
        {"stress concentration": (0.05, 0.01), _PEAK: (0.001, 0.0005)},
    ),
    Check(
        "plate with a hole",
        "P2, moved for the stress peak by its adjoint",
        "plate-with-hole",
        ("degree=2", "goal=stress-peak"),
        {"stress concentration": (0.05, 0.005), _PEAK: (0.001, 0.0001)},
    ),
    # Half of the last digit published is 0.0002 of it.
    Check(
        "Cook's membrane",
        "P2",
        "cook-membrane",
        ("degree=2", "resolution=4.0"),
        {"deflection at (48, 52)": (0.001, 0.0002)},
    ),
    # Thick by a fiftieth of the length: shear and stretch, which the elastica does without, are what differs.
    *(
        Check(
            "hyperelastic beam",
            f"P2, P L^2 / E I = {load}, L / h = 50",
            "hyperelastic-beam",
            ("degree=2", "rows=1", "slenderness=50", f"load={load}.0"),
            {"tip across": (0.001, 0.001), "tip back": (0.001, 0.001)},
        )
        for load in (1, 10)
    ),
    *(
        Check(
            "heated cavity",
            f"Ra = {rayleigh}",
            "heated-cavity",
            (f"rayleigh={rayleigh}", f"resolution={cells}"),
            {_MEAN: mean, _WALL: wall},
        )
        for rayleigh, (cells, wall, mean) in _CAVITIES.items()
    ),
)


def solids() -> Iterator[Row]:
    """Stress concentration beside Kirsch's, deflections beside Cook's and the elastica's, published Nusselt numbers."""
    for check in CHECKS:
        yield from check.rows()
