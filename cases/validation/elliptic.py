"""Elliptic problems against their exact solutions: orders on even meshes, and what a mesh moved by MMPDE gains."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from cases.options import build_options
from cases.registry import get_case
from cases.steady_case import SteadyCase
from cases.validation.experiments import fitted_rate
from cases.validation.row import Row
from coupling.registry import get_mover
from coupling.steady import SteadyAdaptation
from fem.steady import SteadySolution

ROUND_OFF = 1e-13
_L2 = "error in L2"
_MOVERS = ("mmpde", "monge-ampere", "drift")


def _solved(name: str, mover: str | None = None, **options) -> SteadySolution:
    """Return the solution of a case on the mesh that is kept."""
    case = get_case(name)
    assert isinstance(case, SteadyCase), f"got {name}, which goes in time"
    chosen = build_options(case.Options, options)
    mesh = case.mesh_of(chosen)
    setup = case.build(chosen, mesh)
    loop = SteadyAdaptation(
        mesh,
        setup.solve,
        None if mover is None else get_mover(mover),
        rounds=setup.rounds,
        tolerance=setup.tolerance,
        least_gain=setup.least_gain,
    )
    return list(loop.run())[-1]


def _unknowns(found: Sequence[SteadySolution]) -> list[int]:
    return [one.state.function_space().dim() for one in found]


def _orders(
    name: str, expected: Mapping[str, float], sizes: Sequence[int], source: str, tolerance: float = 0.1, **options
) -> Iterator[Row]:
    """Rows of the rates of the error, named "error", and of quantities, on even meshes of so many squares a side."""
    began = time.perf_counter()
    found = [_solved(name, resolution=size, **options) for size in sizes]
    seconds = time.perf_counter() - began
    mesh = f"{sizes[0]}x{sizes[0]} to {sizes[-1]}x{sizes[-1]}, {_unknowns(found)[-1]:,} unknowns, fixed"
    words = ", ".join(f"{key} {value}" for key, value in options.items())
    for quantity, rate in expected.items():
        errors = [one.error if quantity == "error" else one.quantities[quantity].value for one in found]
        measured = -fitted_rate(list(map(float, sizes)), [float(error) for error in errors if error is not None])
        what = f"{name} ({words}): rate of the {quantity}"
        yield Row("elliptic", what, "at least", rate - tolerance, measured, 0.0, seconds, mesh, f"{source}: {rate:g}")
        seconds = 0.0


def _gains(name: str, fixed_share: float, **options) -> Iterator[Row]:
    """Rows of the error on moved meshes over that on the even one of as many cells."""
    even = _solved(name, **options)
    for mover in _MOVERS:
        began = time.perf_counter()
        moved = _solved(name, mover, **options)
        seconds = time.perf_counter() - began
        assert even.error is not None and moved.error is not None, "the solution is known"
        what = f"{name}: error {moved.error:.4g} on the moved mesh over that on the fixed one, {even.error:.4g}"
        mesh = f"{_unknowns([moved])[0]:,} unknowns, moved by {mover}"
        yield Row("elliptic", what, "at most", fixed_share, moved.error / even.error, 0.0, seconds, mesh)


def elliptic() -> Iterator[Row]:
    """Orders of all cases, water lost in cells, the corner, and errors on moved meshes beside those on fixed ones."""
    ciarlet = "Ciarlet (1978)"
    for degree, sizes in ((1, (32, 64, 128)), (2, (16, 32, 64))):
        expected = {"error": degree, _L2: degree + 1}
        yield from _orders("poisson", expected, sizes, ciarlet, width=0.15, degree=degree)
    yield from _orders("helmholtz", {"error": 1, _L2: 2}, (48, 96), ciarlet, reaction=10.0)
    heads = {"error of the head in L2": 1, "error of its means over cells": 2}
    yield from _orders("darcy", {"error": 1, **heads}, (16, 32, 64), "Raviart and Thomas (1977)", steepness=5.0)
    yield from _orders("anisotropic-diffusion", {"error": 1, _L2: 2}, (32, 64, 128), ciarlet, ratio=0.1)
    streamlines = "a row of cells in the layer"
    yield from _orders("convection-diffusion", {"error": 0.5}, (16, 32, 64), streamlines, peclet=1e4)
    yield from _conservation()
    yield from _corner()
    for name in ("poisson", "helmholtz", "darcy", "anisotropic-diffusion", "convection-diffusion"):
        # Not worse than the fixed mesh: how much better is the figure, no guarantee.
        yield from _gains(name, 1.0)


def _conservation() -> Iterator[Row]:
    for mover in (None, *_MOVERS):
        found = _solved("darcy", mover)
        lost = found.quantities["most water lost in a cell"].value
        mesh = f"{_unknowns([found])[0]:,} unknowns, " + ("fixed" if mover is None else f"moved by {mover}")
        yield Row("elliptic", "darcy: most water lost in a cell [m^2/s]", "at most", ROUND_OFF, lost, mesh=mesh)


def _corner() -> Iterator[Row]:
    """Rows of the rate at which the error at the corner falls with the root of the unknowns.

    Without Monge-Ampère, which is for convex domains: here it gets 0.73.
    """
    lengths = (1 / 12, 1 / 24, 1 / 48)
    for mover, relation, rate, tolerance in (
        (None, "within", 2 / 3, 0.07),
        *((mover, "at least", 0.9, 0.0) for mover in ("mmpde", "drift")),
    ):
        began = time.perf_counter()
        found = [_solved("l-shape", mover, resolution=length) for length in lengths]
        seconds = time.perf_counter() - began
        errors = [float(one.error) for one in found if one.error is not None]
        unknowns = _unknowns(found)
        measured = -fitted_rate(list(np.sqrt(unknowns)), errors)
        words = ", ".join(f"{error:.4g}" for error in errors)
        mesh = f"{', '.join(map(str, unknowns))} unknowns, " + ("fixed" if mover is None else f"moved by {mover}")
        source = "Strang and Fix (1973), chapter 8: " + ("2/3" if mover is None else "1 on graded meshes")
        what = f"l-shape: rate of the error, {words}"
        yield Row("elliptic", what, relation, rate, measured, tolerance, seconds, mesh, source)  # type: ignore[arg-type]
