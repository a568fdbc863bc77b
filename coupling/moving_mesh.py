"""A moving mesh under an existing script: defaults for the driver."""

from __future__ import annotations

from firedrake import Function

from coupling.driver import MovingMesh
from coupling.registry import get_mover
from fem.transfer import ProjectionTransfer, Transfer
from meshing.monitor import make_monitor


def moving_mesh(
    field: Function,
    *others: Function,
    mover: str = "mmpde",
    monitor: str = "hessian",
    transfer: Transfer | None = None,
    every: int = 10,
    threshold: float = 0.0,
) -> MovingMesh:
    """Return a driver that moves the mesh of some fields to where the first of them needs it.

    Parameters
    ----------
    field
        Scalar field that the monitor function is made of.
    others
        Further fields on the same mesh that are to be carried along.
    mover
        Name in ``coupling.registry.MOVERS``.
    monitor
        Name in ``meshing.monitor.MONITORS``.
    transfer
        How fields are carried; by default projected, which is conservative, for any element, on one rank.
    every
        Steps between two looks at the mesh.
    threshold
        See ``MovingMesh``.

    Returns
    -------
    MovingMesh
        To be told of every time step by ``after_step()``. Solvers must not keep matrices of the mesh as it was:
        no ``constant_jacobian=True``.

    Raises
    ------
    ValueError
        For unknown names.
    """
    fields = (field, *others)
    carrier = transfer or ProjectionTransfer()
    return MovingMesh(
        field.function_space().mesh(),
        get_mover(mover),
        lambda: make_monitor(monitor, field),
        lambda moved: [(function, carrier(function, moved)) for function in fields],
        lambda: None,
        every=every,
        threshold=threshold,
    )
