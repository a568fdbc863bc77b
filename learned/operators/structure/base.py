"""What every structure is: a last operation on degrees of freedom, and the figure that shows whether it holds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor


class Structure(ABC):
    r"""A property of a discrete solution, imposed by a last operation on whatever a network predicts.

    .. math:: u = S(\text{network}(\text{problem}))

    Constructed once for a problem from plain data. Node-major: of a vector field the components of a node follow each
    other. Gradients pass to the raw values, and to data that are tensors.

    Attributes
    ----------
    name
        Label of a row in reports.
    raw_size
        Number of degrees of freedom taken; any if None.
    size
        Number of degrees of freedom given; that of the raw ones if None.

    Parameters
    ----------
    raw_size, size
        The attributes.
    data
        Data given by columns, shapes (rows, 1) for all right-hand sides or (rows, m) for each.

    Raises
    ------
    ValueError
        For data with different numbers of columns.
    """

    name: str = "structure"

    def __init__(self, *, raw_size: int | None, size: int | None, data: Sequence[Tensor] = ()):
        self.raw_size, self.size = raw_size, size
        columns = sorted({int(part.shape[1]) for part in data} - {1})
        if len(columns) > 1:
            raise ValueError(
                f"data: got {' and '.join(map(str, columns))} columns, expected one number of right-hand sides; "
                "give each datum one column or one for each right-hand side"
            )
        self.columns = columns[0] if columns else None

    @final
    def __call__(self, raw: Tensor) -> Tensor:
        """Return degrees of freedom that have the structure.

        Parameters
        ----------
        raw
            Predicted degrees of freedom, shape (raw_size,) or (raw_size, m), floating point, on the CPU.

        Returns
        -------
        Tensor
            Shape (size,) or (size, m), float64.

        Raises
        ------
        ValueError
            For other shapes, types or devices.
        """
        result = self._impose(self._columns_of("raw", raw, self.raw_size))
        return result if raw.ndim == 2 else result[:, 0]

    @final
    def residual(self, u: Tensor) -> float:
        """Return how far any degrees of freedom are from having the structure: the relative figure of reports.

        Parameters
        ----------
        u
            Shape (size,) or (size, m), floating point, on the CPU: constrained or not.

        Returns
        -------
        float
            The worst over all right-hand sides; NaN or infinite if ``u`` is not finite.

        Raises
        ------
        ValueError
            For other shapes, types or devices.
        """
        with torch.no_grad():
            return self._violation(self._columns_of("u", u, self.size))

    @abstractmethod
    def _impose(self, raw: Tensor) -> Tensor:
        """Return u, shape (size, m), of raw values of shape (raw_size, m), float64."""

    @abstractmethod
    def _violation(self, u: Tensor) -> float:
        """Return the residual of u, shape (size, m), float64."""

    def _columns_of(self, name: str, values: Tensor, size: int | None) -> Tensor:
        fits = values.ndim in (1, 2) and (size is None or values.shape[0] == size)
        if not fits or not values.is_floating_point() or values.device.type != "cpu":
            rows = "N" if size is None else size
            raise ValueError(
                f"{name}: got {str(values.dtype).removeprefix('torch.')} of shape {tuple(values.shape)} on "
                f"{values.device}, expected floating point of shape ({rows},) or ({rows}, m) on cpu; "
                "flatten the components of each node"
            )
        values = values.to(torch.float64)
        values = values if values.ndim == 2 else values[:, None]
        if self.columns not in (None, values.shape[1]):
            raise ValueError(
                f"{name}: got {values.shape[1]} columns, expected {self.columns}: the data of {self.name} have as many"
            )
        return values
