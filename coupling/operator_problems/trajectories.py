"""What all families of trajectories share."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from firedrake import TestFunction, TrialFunction, dx

from coupling.operator_matrices import csr
from coupling.operator_spaces import node_graph, node_points
from fem.timestep import StepStatus, TimeStepper
from learned.operators.problem import CoarseLevel
from learned.operators.trajectory import OperatorTrajectory


def trajectory(
    space,
    *,
    fixed: np.ndarray,
    features: np.ndarray,
    times: np.ndarray,
    fields: np.ndarray,
    parameters: Mapping[str, float],
    coarse: tuple[CoarseLevel, ...],
    kind: str,
) -> OperatorTrajectory:
    """Return a trajectory with the places, neighbours and mass matrix of a scalar space's nodes.

    Parameters
    ----------
    space
        Scalar space, of which the field has a copy for each component.
    fixed, features, times, fields, parameters, coarse, kind
        See ``OperatorTrajectory``.
    """
    return OperatorTrajectory(
        points=node_points(space),
        edges=node_graph(space),
        mass=csr(TrialFunction(space) * TestFunction(space) * dx),
        fixed=fixed,
        features=features,
        times=times,
        fields=fields,
        parameters=parameters,
        coarse=coarse,
        kind=kind,
    )


def advance(stepper: TimeStepper, start: float, end: float) -> None:
    """Step from one time to another [s].

    Raises
    ------
    RuntimeError
        If a step fails.
    """
    t = start
    while t < end:
        result = stepper.step(t, end - t)
        if result.status is not StepStatus.DONE:
            raise RuntimeError(f"time step: none found at t = {t:.6g} s that gives a valid state")
        # The last step ends at the end to the last bit, or nearly no step would be left.
        t = end if result.dt >= (1.0 - 1e-12) * (end - t) else t + result.dt
