"""On the way to vertices that a network wants, in limited steps: for networks that give a mesh at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from learned.geometry import volumes, widths
from learned.movers.step import limited_step, remainder
from learned.prepared import PreparedMesh

# Less than this share of the size of the largest displacement is nothing left.
_REST = 1e-3
# A step that brings the vertices nearer by less than this share of what is left is the last: cells are in the way.
_GAIN = 0.02
# Cells stay this wide, as a share of the width of the computational cell: where a network wants them inverted, moves in
# a row would else crush them, and time steps with them.
NARROWEST = 0.05


@dataclass(frozen=True)
class DirectResult:
    """Where a network wants the vertices, and where they have come to.

    Attributes
    ----------
    points
        Vertices, shape (d, N), in units of the domain; all cells valid if they were at the start.
    wanted
        What the network has given, on the boundary but not limited: cells may be inverted.
    steps
        Limited steps taken.
    arrived
        Whether ``points`` are ``wanted``, to a thousandth of the largest displacement.
    """

    points: Tensor
    wanted: Tensor
    steps: int
    arrived: bool


def on_boundary(mesh: PreparedMesh, points: Tensor, wanted: Tensor) -> Tensor:
    """Return what a network wants, (d, N), with boundary vertices of points moved along the boundary only.

    What is not finite stays where it is.
    """
    displacement = torch.nan_to_num(wanted - points, 0.0, 0.0, 0.0)
    return mesh.boundary.project(points + mesh.boundary.tangential(points, displacement))


def travel(mesh: PreparedMesh, points: Tensor, wanted: Tensor, *, most: int = 30) -> DirectResult:
    """Follow the straight way to vertices that are wanted, as far as no cell is crushed.

    Parameters
    ----------
    mesh
        What does not change with the vertices.
    points
        Vertices of a valid mesh, in units of the domain, shape (d, N).
    wanted
        Vertices wanted, on the boundary, finite, shape (d, N).
    most
        Largest number of limited steps.

    Returns
    -------
    DirectResult
        All its cells are valid, whatever is wanted, and no narrower than ``NARROWEST`` times the computational cell's
        width, but where curved boundaries draw their vertices back.
    """
    narrowest = NARROWEST * widths(mesh.topology.corners(mesh.reference))
    left = mesh.boundary.tangential(points, wanted - points)
    whole = distance = float(left.square().sum().sqrt())
    longest = float(left.abs().max())
    for number in range(most):
        if float(left.abs().max()) <= _REST * longest:
            return DirectResult(points, wanted, number, True)
        ahead = limited_step(mesh, points, left, narrowest=narrowest)
        # The limiter lets none be inverted, but where curved boundaries draw their vertices back.
        if not bool((volumes(mesh.topology.corners(ahead)) > 0).all()):
            return DirectResult(points, wanted, number, False)
        left, points = remainder(mesh, ahead, left, points), ahead
        before, distance = distance, float(left.square().sum().sqrt())
        if distance > _REST * whole and before - distance < _GAIN * before:
            return DirectResult(points, wanted, number + 1, False)
    return DirectResult(points, wanted, most, float(left.abs().max()) <= _REST * longest)
