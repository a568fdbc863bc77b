"""The error of a solution estimated from its recovered stress or gradient, and where it asks for smaller cells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import numpy as np
from firedrake import (
    Function,
    FunctionSpace,
    TensorFunctionSpace,
    TestFunction,
    TrialFunction,
    VectorFunctionSpace,
    assemble,
    dx,
    inner,
    solve,
)
from mpi4py import MPI
from ufl.core.expr import Expr

from fem.solver_parameters import MASS


@dataclass(frozen=True)
class Estimate:
    """An estimate of the error in the energy norm.

    Attributes
    ----------
    cells
        Of each cell, P0 [unit of the norm].
    total
        Of the whole, the root of the sum of squares [unit of the norm].
    recovered
        The flux it is compared with, continuous.
    """

    cells: Function
    total: float
    recovered: Function


def recover(mesh, flux: Expr, degree: int) -> Function:
    """Return the L2 projection of a flux, a vector or tensor of UFL, to continuous elements of a degree; collective."""
    space = (VectorFunctionSpace if len(flux.ufl_shape) == 1 else TensorFunctionSpace)(mesh, "CG", degree)
    found, v = Function(space, name="recovered"), TestFunction(space)
    solve(inner(TrialFunction(space), v) * dx == inner(flux, v) * dx, found, solver_parameters=MASS)
    return found


def recovery_estimate(
    mesh, flux: Expr, degree: int, *, energy: Callable[[Expr], Expr] = lambda difference: inner(difference, difference)
) -> Estimate:
    r"""Estimate the error of a solution by how far its flux is from a continuous one; collective.

    .. math:: \eta_K^2 = \int_K E(\sigma^* - \sigma_h)

    with the recovered flux sigma^*. Where that is of higher order, eta over the error goes to 1.

    Parameters
    ----------
    mesh
        Mesh of the solution.
    flux
        sigma_h, its gradient or stress, a vector or tensor of UFL.
    degree
        Of the solution: the recovered flux has the same.
    energy
        E, the density of energy of a difference of fluxes; by default its square.

    Notes
    -----
    Zienkiewicz and Zhu (1987), Int. J. Numer. Meth. Engng 24, 337, with the consistent mass matrix.
    """
    recovered = recover(mesh, flux, degree)
    cells = Function(FunctionSpace(mesh, "DG", 0), name="estimate")
    squares = assemble(energy(recovered - flux) * TestFunction(cells.function_space()) * dx)
    total = sqrt(mesh.comm.allreduce(float(squares.dat.data_ro.sum()), MPI.SUM))
    cells.dat.data_wo[:] = np.sqrt(np.maximum(squares.dat.data_ro, 0.0))
    return Estimate(cells, total, recovered)


def wanted_density(estimate: Estimate, degree: int, *, floor: float = 0.1) -> Function:
    r"""Return the density of cells that makes the error least for their number; collective.

    Where the error in a cell is :math:`\eta_K = c\, h^p |K|^{1/2}`, the sum of squares for N cells is least for
    cells as dense as

    .. math:: n \propto c^{2d/(2p + d)},\qquad\text{that is}\qquad n_K \propto \eta_K^{2d/(2p + d)} / |K|,

    for then eta is the same in all of them: what a mesh needs that is uniform as its computational mesh.

    Parameters
    ----------
    estimate
        eta.
    degree
        p.
    floor
        Added, as share of the mean, so that no place is left without cells; not negative.

    Returns
    -------
    Function
        P0, positive unless floor = 0, its mean 1: for ``meshing.monitor.FieldMonitor``, which takes means of it in the
        vertices. 1 for no error.

    Raises
    ------
    ValueError
        For a negative floor.

    Notes
    -----
    Minimise the integral of c^2 n^{-2p/d} for a given one of n; Huang and Russell (2011), Adaptive Moving Mesh Methods,
    section 2.4.
    """
    if not floor >= 0.0:
        raise ValueError(f"floor: got {floor}, expected 0 or more, such as 0.1")
    space = estimate.cells.function_space()
    mesh, dimension = space.mesh(), space.mesh().geometric_dimension
    volumes = assemble(TestFunction(space) * dx).dat.data_ro
    shares = estimate.cells.dat.data_ro ** (2.0 * dimension / (2.0 * degree + dimension))
    whole, volume = mesh.comm.allreduce(np.array([shares.sum(), volumes.sum()]))
    relative = shares / volumes * (volume / whole) if whole > 0.0 else np.ones_like(shares)
    density = Function(space, name="density")
    density.dat.data_wo[:] = (relative + floor) / (1.0 + floor)
    return density
