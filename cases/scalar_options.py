"""What the cases of scalar laws have in common: options, and how their meshes are moved."""

from __future__ import annotations

from typing import Annotated, Literal

from firedrake import Function
from pydantic import Field

from cases.moving import Movement
from cases.options import MESH, FilePath, MovingOptions
from cases.units import Unit
from fem.timestep import TABLEAUX
from meshing.field_monitors import HessianMonitor
from meshing.shaping import Shaping


class ScalarOptions(MovingOptions):
    """Options of the cases of scalar laws on the unit square."""

    mesh: Annotated[str, FilePath()] = Field("", description=MESH)
    resolution: int = Field(
        24, ge=2, le=1000, description="squares a side, each cut into four triangles; n give 2 n (n + 1) + 1 vertices"
    )
    output_interval: Annotated[float, Unit("s")] = Field(
        0.1, gt=0, description="simulated time between field outputs [s]"
    )
    exact_output: bool = Field(True, description="shorten steps so that field outputs fall on their times exactly")
    checkpoint_interval: Annotated[float, Unit("s")] = Field(
        0.25, gt=0, description="simulated time between checkpoints [s]"
    )
    scheme: Literal[tuple(TABLEAUX)] = Field("ssp-rk2-3", description="Runge-Kutta scheme")  # type: ignore[valid-type]
    courant: float = Field(1 / 3, gt=0, le=1, description="Courant number of a stage; cell means obey bounds up to 1/3")
    monitor_regularisation: float = Field(
        0.3, gt=0, le=100, description="the smaller, the more cells go where u is curved; times its mean curvature"
    )


class ThinFeatureOptions(ScalarOptions):
    """Options where what is carried is thinner than a cell of the fixed mesh: more cells follow it, and sooner."""

    resolution: int = Field(
        40, ge=2, le=1000, description="squares a side, each cut into four triangles; n give 2 n (n + 1) + 1 vertices"
    )
    move_every: int = Field(10, ge=1, le=1_000_000, description="time steps between two looks at the mesh")
    monitor_smoothing: float = Field(0.5, ge=0, le=50, description="length of the monitor function's filter [cells]")
    max_size_ratio: float = Field(
        20.0, ge=1, le=1000, description="greatest ratio of cell sizes that the monitor function asks for"
    )
    monitor_regularisation: float = Field(
        0.1, gt=0, le=100, description="the smaller, the more cells go where u is curved; times its mean curvature"
    )


def movement(state: Function, options: ScalarOptions) -> Movement:
    """Return how the mesh is to be moved: small cells where u is curved."""
    shaping = Shaping(smoothing=options.monitor_smoothing, max_size_ratio=options.max_size_ratio)
    return Movement(
        monitor=lambda: HessianMonitor(state, shaping=shaping, regularisation=options.monitor_regularisation),
        every=options.move_every,
        threshold=options.move_threshold,
        transfer=options.transfer,
    )
