"""Uniform advection, and runs of the scalar stepper, which tests share."""

from firedrake import Function, SpatialCoordinate, VectorFunctionSpace

from fem.timestep import StepStatus

ROUND_OFF = 1e-13
TILTED = (0.8, 0.5)


def uniform(x, t):
    """Stream function of the uniform velocity (0.8, 0.5)."""
    return TILTED[0] * x[1] - TILTED[1] * x[0]


def nodes(mesh, degree):
    space = VectorFunctionSpace(mesh, "DG", degree, variant="equispaced")
    return Function(space).interpolate(SpatialCoordinate(mesh)).dat.data_ro


def advance(stepper, t, t_end):
    while t < t_end - 1e-12:
        result = stepper.step(t, t_end - t)
        assert result.status is StepStatus.DONE
        t += result.dt
