"""The validation suites by name; a new one is a generator of rows and a line in :data:`SUITES`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from cases.validation.elliptic import elliptic
from cases.validation.flow_steady import flow_steady
from cases.validation.flow_unsteady import cylinder_wake, taylor_green
from cases.validation.operators import operators
from cases.validation.row import Row
from cases.validation.shallow_water import dam_breaks, lakes_at_rest, monai, monai_fine, smooth, thacker
from cases.validation.solids import solids
from cases.validation.transport import transport

SUITES: dict[str, Callable[[], Iterator[Row]]] = {
    "lake-at-rest": lakes_at_rest,
    "dam-break": dam_breaks,
    "thacker": thacker,
    "manufactured": smooth,
    "monai": monai,
    "monai-fine": monai_fine,
    "elliptic": elliptic,
    "transport": transport,
    "solids": solids,
    "steady-flow": flow_steady,
    "taylor-green": taylor_green,
    "cylinder-wake": cylinder_wake,
    "operators": operators,
}
