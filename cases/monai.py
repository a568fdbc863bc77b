"""The Monai Valley tsunami in the laboratory: run-up of a recorded wave on a surveyed coast."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import numpy as np
from firedrake import Function, RectangleMesh, as_vector, max_value
from pydantic import Field

from cases.case import Case, Gauges, Setup
from cases.monai_data import load_monai
from cases.monai_mesh import OFFSHORE, check_basin
from cases.moving import Movement
from cases.options import MESH, CaseOptions, FilePath, MovingOptions
from cases.units import Unit
from fem.bathymetry import Grid, bathymetry
from fem.boundary import PrescribedElevation
from fem.problems.shallow_water import ShallowWater
from fem.timestep import TABLEAUX
from fem.wave_monitor import wave_monitor
from meshing.shaping import Shaping

LENGTH_X, LENGTH_Y = 5.488, 3.402
STILL_WATER = 0.0


class MonaiOptions(MovingOptions):
    """Options of the Monai case; each takes a number in its unit, or a text such as ``"5 cm"``."""

    resolution: Annotated[float, Unit("m")] = Field(
        0.1, gt=0.005, le=0.6, description="side of the squares that are cut into four triangles [m]"
    )
    order: Literal[0, 1] = Field(1, description="polynomial degree of the discontinuous elements, 0 or 1")
    friction: Annotated[float, Unit("s/m**(1/3)")] = Field(
        0.0025, ge=0, le=0.2, description="Manning coefficient [s/m^(1/3)]"
    )
    t_end: Annotated[float, Unit("s")] = Field(22.5, gt=0, le=600, description="simulated time [s]")
    output_interval: Annotated[float, Unit("s")] = Field(
        2.5, gt=0, description="simulated time between field outputs [s]"
    )
    exact_output: bool = Field(
        False, description="shorten steps so that field outputs fall on their times exactly, to compare runs"
    )
    gauge_interval: Annotated[float, Unit("s")] = Field(
        0.05, gt=0, description="simulated time between gauge samples [s]"
    )
    checkpoint_interval: Annotated[float, Unit("s")] = Field(
        5.0, gt=0, description="simulated time between checkpoints [s]"
    )
    scheme: Literal[tuple(TABLEAUX)] = Field("ssp-rk2-3", description="Runge-Kutta scheme")  # type: ignore[valid-type]
    courant: float = Field(
        0.2, gt=0, le=1, description="Courant number of a stage, over the smallest altitude; stable up to 0.2"
    )
    dry_depth: Annotated[float, Unit("m")] = Field(
        1e-4, gt=0, le=0.01, description="depth below which a film counts as dry [m]"
    )
    max_size_ratio: float = Field(
        15.0, ge=1, le=1000, description="greatest ratio of cell sizes that the monitor function asks for"
    )
    monitor_regularisation: float = Field(
        0.1, gt=0, le=100, description="the smaller, the more cells go to the waves; times their mean steepness"
    )
    mesh: Annotated[str, FilePath()] = Field(
        "",
        description=f"{MESH}; marker {OFFSHORE} on x = 0, where the wave enters, any other on walls; inside of the "
        f"surveyed basin, {LENGTH_X} m by {LENGTH_Y} m, and around the gauges",
    )


class Monai(Case):
    """Benchmark problem 2 of the Third International Workshop on Long-Wave Runup Models (2004)."""

    name: ClassVar[str] = "monai"
    summary: ClassVar[str] = "Monai Valley tsunami, 1:400 laboratory model: gauges against measurements"
    title: ClassVar[str] = "Monai Valley tsunami"
    description: ClassVar[str] = (
        "The 1993 Okushiri tsunami in a 1:400 laboratory model (CRIEPI, Abiko): the recorded incident wave enters "
        "at x = 0 and runs up on the surveyed coast; three gauges stand between the islet and the shore."
    )
    Options: ClassVar[type[CaseOptions]] = MonaiOptions
    markers: ClassVar[Mapping[int, str]] = {OFFSHORE: "offshore"}

    def mesh(self, options: MonaiOptions):
        """Return squares of about ``resolution``, each cut into four triangles by its diagonals."""
        nx = max(1, round(LENGTH_X / options.resolution))
        ny = max(1, round(LENGTH_Y / options.resolution))
        return RectangleMesh(nx, ny, LENGTH_X, LENGTH_Y, diagonal="crossed")

    def check_mesh(self, options: MonaiOptions, mesh) -> None:
        """See :meth:`cases.case.Case.check_mesh` and :func:`cases.monai_mesh.check_basin`."""
        check_basin(mesh, load_monai())

    def build(self, options: MonaiOptions, mesh) -> Setup:
        """See :meth:`cases.case.Case.build`."""
        data = load_monai()
        grid = Grid(data.x, data.y, data.bathymetry)

        def sample_bed(mesh) -> Function:
            return bathymetry(mesh, grid, degree=options.order)

        bed = sample_bed(mesh)
        wave = PrescribedElevation(data.wave_time, data.wave_elevation, after_end="open", open_elevation=STILL_WATER)
        problem = ShallowWater(
            bathymetry=bed,
            boundaries={OFFSHORE: wave},
            manning=options.friction,
            dry_depth=options.dry_depth,
        )
        shaping = Shaping(smoothing=options.monitor_smoothing, max_size_ratio=options.max_size_ratio)
        initial = Function(problem.space(), name="state")
        initial.interpolate(as_vector([max_value(STILL_WATER - bed, 0.0), 0.0, 0.0]))
        return Setup(
            problem=problem,
            initial=initial,
            tableau=options.scheme,
            courant=options.courant,
            t_end=options.t_end,
            gauges=Gauges(
                names=tuple(data.gauge_names),
                points=np.asarray(data.gauge_points),
                reference_time=data.laboratory_time,
                reference_elevation=data.laboratory_elevation,
            ),
            gauge_interval=options.gauge_interval,
            output_interval=options.output_interval,
            checkpoint_interval=options.checkpoint_interval,
            movement=Movement(
                monitor=lambda: wave_monitor(problem, initial, STILL_WATER, shaping, options.monitor_regularisation),
                every=options.move_every,
                threshold=options.move_threshold,
                transfer=options.transfer,
            ),
            sample_bed=sample_bed,
            still_level=STILL_WATER,
            exact_output=options.exact_output,
        )
