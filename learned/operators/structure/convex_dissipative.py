"""Time steps of nonlinear systems that do not gain energy: discrete gradient."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from learned.operators.structure.data import Matrix, as_matrix, as_sparse
from learned.operators.structure.dissipation import Dissipation

# Changes of the energy that are told from rounding, relative to the energy.
_TOLD = 16.0 * torch.finfo(torch.float64).eps
_ITERATIONS = 60
# Least reduction by a step of Newton's method with which its matrix is used again.
_FAST = 0.1
# Steps, relative to the state, that change its last bits, and those from which the method converges in one more.
_ROUNDING, _SMALL = 2e-16, 1e-10
# LU factors and pivots, a matrix for each column.
_Factors = tuple[Tensor, Tensor]


class ConvexDissipative(Dissipation):
    r"""Step a system with convex energy by Gonzalez' discrete gradient.

    .. math:: M \frac{d}{\Delta t} = (J - L L^T) M^{-1} g,\quad d = u^{n+1} - u^n,\qquad
              g = \nabla E(\bar u) + \frac{E(u^{n+1}) - E(u^n) - \nabla E(\bar u) \cdot d}{d \cdot M d}\,M d

    with J = A - A^T and the midpoint :math:`\bar u`; see ``Dissipation``. As g.d is the change of E, guaranteed for any
    A, L and time step with which the equation is solved: E does not grow, and without L it is kept, to 1e-14 of E a
    step. Where the second term of g is rounding (E quadratic, or the state at rest) it is left out: g is then the
    midpoint's.

    Solved by Newton's method with dense matrices: for small systems. Gradients, also to A and L, are those of the
    solution by the implicit function theorem; E is differentiated by torch, twice.

    Parameters
    ----------
    mass
        M, sparse, shape (N, N), symmetric positive definite.
    energy
        E: from states of shape (N, m) to shape (m,), float64, convex, each column by itself, twice differentiable.
    interaction
        A, array or tensor of shape (N, N); None for J = 0.
    dissipation
        L, array or tensor of shape (N, k); None for R = 0.
    dt
        Time step [s].
    gradient
        Gradient of E, from (N, m) to (N, m), differentiable: quicker than torch's own, which is taken if None.

    Raises
    ------
    ValueError
        For other shapes, a mass matrix that is not symmetric; when called, if Newton's method does not converge.

    Notes
    -----
    Gonzalez (1996), Time integration and discrete Hamiltonian systems, J. Nonlinear Sci. 6, 449-467.
    """

    name = "dissipative, convex"

    def __init__(
        self,
        mass,
        energy: Callable[[Tensor], Tensor],
        interaction: Matrix | None,
        dissipation: Matrix | None,
        dt: float,
        *,
        gradient: Callable[[Tensor], Tensor] | None = None,
    ):
        matrix = as_sparse("mass", mass, (None, None), symmetric=True)
        size = matrix.shape[0]
        super().__init__(size=size, energy=energy, conservative=dissipation is None)
        self.dt = float(dt)
        self._slope = gradient
        self._mass = torch.from_numpy(matrix.toarray())
        self._interaction = None if interaction is None else as_matrix("interaction", interaction, size)
        self._dissipation = None if dissipation is None else as_matrix("dissipation", dissipation, size)
        if self._interaction is not None and self._interaction.shape[1] != size:
            raise ValueError(f"interaction: got shape {tuple(self._interaction.shape)}, expected ({size}, {size})")
        self._ready = self._flow()

    def _flow(self) -> Tensor:
        """Return M^-1 (J - R) M^-1, shape (N, N)."""
        form = torch.zeros_like(self._mass)
        if self._interaction is not None:
            form = form + self._interaction - self._interaction.T
        if self._dissipation is not None:
            form = form - self._dissipation @ self._dissipation.T
        return torch.linalg.solve(self._mass, torch.linalg.solve(self._mass, form).T).T

    def _impose(self, raw: Tensor) -> Tensor:
        # Made anew where it has a graph, which a backward pass frees.
        flow = self._flow() if self._ready.requires_grad and torch.is_grad_enabled() else self._ready.detach()
        with torch.no_grad():
            end, told = self._solved(raw, flow)
        if torch.is_grad_enabled():
            defect = self._defect(raw, end, flow, told)
            if defect.requires_grad:
                # A step of Newton's method, of no size but for rounding: its derivative is that of the solution.
                factors = self._factors(raw.detach(), end, flow.detach(), told)
                return end - torch.linalg.lu_solve(*factors, defect.T[:, :, None])[:, :, 0].T
        return end

    def _solved(self, start: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
        """Return the state after the step, and in which columns the second term of g is more than rounding."""
        told = torch.zeros(start.shape[1], dtype=torch.bool)
        end, factors = self._newton(start, start, flow, told, None)
        change, before, after = self._unexplained(start, end)
        told = change.abs() > _TOLD * (before.abs() + after.abs())
        return (self._newton(start, end, flow, told, factors)[0] if bool(told.any()) else end), told

    def _newton(
        self, start: Tensor, end: Tensor, flow: Tensor, told: Tensor, factors: _Factors | None
    ) -> tuple[Tensor, _Factors]:
        """Return the end of the step, from a guess of it, and the factors used last."""
        previous, scale = float("inf"), start.abs().amax(0)
        for _ in range(_ITERATIONS):
            fresh = factors is None
            if factors is None:
                factors = self._factors(start, end, flow, told)
            step = torch.linalg.lu_solve(*factors, self._defect(start, end, flow, told).T[:, :, None])[:, :, 0].T
            end = end - step
            smallest = torch.finfo(step.dtype).tiny
            size = float((step.abs().amax(0) / torch.maximum(scale, end.abs().amax(0)).clamp_min(smallest)).max())
            slow = not size < _FAST * previous
            # Small steps of Newton's method that no longer shorten, with its matrix just made, are rounding.
            if size <= _ROUNDING or (slow and fresh and size < _SMALL):
                return end, factors
            if slow:
                factors = None
            previous = size
        raise ValueError(
            f"dt: got {self.dt:.6g}, with which Newton's method did not converge (last step {size:.1e}), "
            "expected a time step that the energy allows; take a smaller one"
        )

    def _defect(self, start: Tensor, end: Tensor, flow: Tensor, told: Tensor) -> Tensor:
        """Return d - dt M^-1 (J - R) M^-1 g, shape (N, m)."""
        slope, step = self._gradient(0.5 * (start + end)), end - start
        if bool(told.any()):
            change, weighted = self._unexplained(start, end, slope)[0], self._mass @ step
            square = torch.where(told, (step * weighted).sum(0), 1.0)
            slope = slope + torch.where(told, change, 0.0) / square * weighted
        return step - self.dt * (flow @ slope)

    def _unexplained(self, start: Tensor, end: Tensor, slope: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Return the change of E less that by the midpoint's gradient, and E before and after, each of shape (m,)."""
        slope = self._gradient(0.5 * (start + end)) if slope is None else slope
        before, after = self.energy(start), self.energy(end)
        return after - before - (slope * (end - start)).sum(0), before, after

    def _gradient(self, u: Tensor) -> Tensor:
        if self._slope is not None:
            return self._slope(u)
        keep = torch.is_grad_enabled()
        with torch.enable_grad():
            place = u if u.requires_grad else u.detach().requires_grad_()
            (slope,) = torch.autograd.grad(self.energy(place).sum(), place, create_graph=keep)
        return slope

    def _factors(self, start: Tensor, end: Tensor, flow: Tensor, told: Tensor) -> _Factors:
        """Return LU factors of the derivative of the defect by the end, a matrix for each column."""
        with torch.enable_grad():
            place = end.detach().requires_grad_()
            defect = self._defect(start, place, flow, told)
            rows = [torch.autograd.grad(row.sum(), place, retain_graph=True)[0] for row in defect]
        return torch.linalg.lu_factor(torch.stack(rows).permute(2, 0, 1).contiguous())
