"""Makers for other processes to import."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from coupling.operator_data import OperatorSettings, make_operator


def third_sample(settings: Sequence[OperatorSettings], number: int) -> dict[str, np.ndarray]:
    """Return sample 2 of the settings of this number."""
    return make_operator(settings[number], 2)
