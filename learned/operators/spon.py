"""Structure-preserving operator networks: from the data of a boundary value problem to its solution."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from learned.operators.balanced import BalancedInverse
from learned.operators.chebyshev import chebyshev, relaxed
from learned.operators.geometry_encoder import GeometryEncoder
from learned.operators.kernel_basis import KernelBasis
from learned.operators.nodes import NODE_FEATURES
from learned.operators.prepared import PreparedProblem, check_told
from learned.operators.processor import LandmarkProcessor

# Of the local part when training begins, the inverse of softplus at one half; and what is added to it, so that no
# weights make the operator singular.
_LOCAL, _LEAST = -0.43, 1e-2
# Of the polynomial when training begins: where the damping begins, in squares of the spacing of landmarks, as a
# logarithm, and how much of the largest diagonal it takes, the inverse of the sigmoid at 0.95.
_CUT, _SHARE = 1.2, 3.0
# Kernels of the distance, and functions around each landmark in the plane.
KINDS, FUNCTIONS = 3, 3


class SPON(nn.Module):
    r"""Solve a boundary value problem by a self-adjoint operator that a network makes for its geometry.

    .. math:: u = g + T\, S(\text{geometry}, \kappa)\, T^T (b - A g)

    The encoder are load vectors b and a lifting g of the boundary values, the decoder is the finite-element space;
    between them stands ``BalancedInverse``, whose functions ``KernelBasis`` makes. Whatever the weights: u equals g at
    the fixed degrees of freedom to the last bit, the operator is self-adjoint and positive definite, and
    :math:`\Phi^T (b - A u) = 0`. What depends on weights depends on lengths only, so that the operator turns and moves
    with the domain.

    Parameters
    ----------
    features
        Coefficients that the problem gives in the nodes.
    landmarks
        Places around which the basis has functions, three in the plane for each component.
    width, messages
        Of the encoder of the geometry.
    power
        See ``KernelBasis``: 1 for equations of second order, 2 of fourth.
    level
        Coarse level on which functions are made, 0 for the finest.
    hats
        1 to add the functions of the coarsest level of the problem, which follow the matrix with the others: with them
        Phi is a prolongation as in smoothed aggregation, and S ends with an exact coarse correction.
    smoothing
        Steps of weighted Jacobi by which all functions follow the matrix, each with learned weights.
    degree
        Of a Chebyshev polynomial that does the same with one learned diagonal, 0 for none:

        .. math:: \Phi \leftarrow p(D A)\, \Phi,\qquad 0 \preceq D A \preceq 1

        for any weights, so that it damps what has more energy than the landmarks can tell and never makes anything
        larger. Where loads are concentrated (``OperatorProblem.loaded``) D is 0, and functions stay as they are.
    relaxation
        Degree of a Chebyshev polynomial that makes the local part M of S, 0 for a diagonal:

        .. math:: M = \big(I - p(D A)\big)\, A^{-1},\qquad 0 \prec D A \preceq 1

        which is a polynomial of D A times D, symmetric and positive definite for any weights, and never takes u farther
        from the solution, in energy, than the functions alone bring it. It meets what they are too wide for; it works
        on right-hand sides only, and so costs little beside them. With ``level`` this is the multigrid form, SPON-MG.
    """

    def __init__(
        self,
        *,
        features: int = 0,
        landmarks: int = 32,
        width: int = 32,
        messages: int = 3,
        power: int = 1,
        level: int = 0,
        hats: int = 0,
        smoothing: int = 0,
        degree: int = 0,
        relaxation: int = 0,
    ):
        super().__init__()
        self.features, self.landmarks, self.level = features, landmarks, level
        self.hats, self.smoothing, self.degree, self.relaxation = bool(hats), smoothing, degree, relaxation
        told = NODE_FEATURES + features
        self.encode = GeometryEncoder(told, width=width, messages=messages)
        self.basis = KernelBasis(width, power=power)
        # What the finest nodes see of themselves where the rest happens on a coarser level.
        self.light = GeometryEncoder(told, width=width // 2, messages=1) if level else None
        seen = width // 2 if level else width
        self.local = _constant_at_first(seen, 1 + smoothing, _LOCAL)
        if degree:
            # It sees what it is told itself, as loads end from one node to the next.
            self.damping = _constant_at_first(seen + told, 1, _SHARE)
            self.cut = nn.Parameter(torch.tensor(_CUT))
        if relaxation:
            nn.init.constant_(self.local.bias[:1], _SHARE)
            self.relaxation_cut = nn.Parameter(torch.tensor(_CUT))

    def forward(self, problem: PreparedProblem) -> Tensor:
        """Return the degrees of freedom of the solutions, shape (N, m), float64."""
        return problem.values + problem.expand(self.inverse(problem)(problem.right_sides, refined=True))

    def inverse(self, problem: PreparedProblem) -> BalancedInverse:
        """Return S, for any number of right-hand sides.

        Raises
        ------
        ValueError
            For a problem with another number of features, or one that was prepared for another network.
        """
        check_told(problem, features=self.features)
        got = (problem.prolongation is not None, problem.hats.shape[1] > 0)
        if got != (self.level > 0, self.hats):
            raise ValueError(
                f"problem: got one prepared with a coarser level {got[0]}, with functions of the coarsest {got[1]}, "
                f"expected {self.level > 0}, {self.hats}; use prepare_for"
            )
        q = self.encode(problem.graph)
        basis = self.basis(problem.places, q, q[problem.places.nodes])
        if problem.prolongation is not None:
            assert self.light is not None and problem.light is not None
            # In float64, as what the coarsest functions can express too must not differ from it by rounding.
            prolonged = problem.prolongation(basis.double().flatten(1))
            basis, q = prolonged.reshape(-1, *basis.shape[1:]), self.light(problem.light)
        # Of each node to each of its components.
        c = problem.components
        local = (_LEAST + softplus(self.local(q))).double().repeat_interleave(c, dim=0)
        local = problem.reduce(local)
        weights = local[:, 1:] * problem.jacobi[:, None]
        basis = problem.reduce(_each_component(basis.double()))
        if self.hats:
            basis = torch.cat([basis, problem.hats], dim=1)
        for step in range(self.smoothing):
            basis = basis - weights[:, step, None] * problem.stiffness(basis)
        if self.degree:
            nodes = (problem.light or problem.graph).nodes
            damping = torch.sigmoid(self.damping(torch.cat([q, nodes], dim=1)))
            share = problem.reduce(damping.double().repeat_interleave(c, dim=0))
            diagonal = share * (problem.bound * problem.unloaded)[:, None]
            least = _least(problem, self.cut, self.degree)
            basis = chebyshev(lambda columns: diagonal * problem.stiffness(columns), basis, self.degree, least)
        if not self.relaxation:
            return BalancedInverse(problem.stiffness, basis, local[:, 0] * problem.jacobi)
        # A sigmoid of what the layer gives, but for the least: never nothing, and never more than the bound.
        diagonal = -torch.expm1(-local[:, :1]) * problem.bound[:, None]
        least = _least(problem, self.relaxation_cut, self.relaxation)
        return BalancedInverse(problem.stiffness, basis, relaxed(problem.stiffness, diagonal, self.relaxation, least))


class UnconstrainedSPON(nn.Module):
    r"""Predict the solution without any structure: the twin of ``SPON``.

    Encoder of the geometry, landmarks and kernels are the same; the coefficients of the functions come from a learned
    processor that is given load vectors and boundary values as ``SPON`` is, and nothing is imposed on what it gives.

    Parameters
    ----------
    features, landmarks, width, messages
        See ``SPON``.
    components
        Of each node.
    channels, layers
        Of the processor.
    """

    def __init__(
        self,
        *,
        features: int = 0,
        landmarks: int = 32,
        width: int = 32,
        messages: int = 3,
        components: int = 1,
        channels: int = 32,
        layers: int = 4,
    ):
        super().__init__()
        self.features, self.landmarks, self.components, self.nodal = features, landmarks, components, True
        self.encode = GeometryEncoder(NODE_FEATURES + features, width=width, messages=messages)
        self.kernel = KernelBasis(width, bounded=False)
        self.decode_kernel = KernelBasis(width, bounded=False)
        self.read = nn.Linear(2 * FUNCTIONS * components, channels, bias=False)
        self.process = LandmarkProcessor(width, channels=channels, layers=layers, kinds=KINDS)
        self.write = nn.Linear(channels, FUNCTIONS * components, bias=False)
        self.local = _constant_at_first(width, 2, 0.0)
        # Solutions are small beside loads: nothing at first.
        nn.init.zeros_(self.write.weight)

    def forward(self, problem: PreparedProblem) -> Tensor:
        """Return the degrees of freedom of the solutions, shape (N, m), float64.

        Raises
        ------
        ValueError
            For a problem with other numbers of features or of components.
        """
        check_told(problem, features=self.features, components=self.components)
        graph, places, c = problem.graph, problem.places, self.components
        q = self.encode(graph)
        at = q[places.nodes]
        n, m = len(q), problem.loads.shape[1]
        kernel = self.kernel(places, q, at)[:, 0].reshape(n, FUNCTIONS, -1)
        sources, values = problem.sources().to(q.dtype), problem.values.to(q.dtype).reshape(n, c, m)
        weighed = kernel * graph.weights[:, None, None]
        scale = weighed[:, 0].abs().sum(0)[:, None, None, None]
        read = [torch.einsum("nfr,ncm->rmfc", weighed, sources) / scale]
        read.append(torch.einsum("nfr,ncm->rmfc", weighed, values) / scale)
        h = self.read(torch.cat(read, dim=2).flatten(2))
        h = self.process(places.kernels[:, places.nodes], at, h)
        decoder = self.decode_kernel(places, q, at)[:, 0].reshape(n, FUNCTIONS, -1)
        u = torch.einsum("nfr,rmfc->ncm", decoder, self.write(h).unflatten(2, (FUNCTIONS, c)))
        own = self.local(q)
        u = u + own[:, :1, None] * sources + own[:, 1:, None] * values
        return u.reshape(n * c, m).double()


def _least(problem: PreparedProblem, cut: Tensor, degree: int) -> Tensor:
    """Return where a polynomial begins to damp, over the largest eigenvalue: about as landmarks are to nodes."""
    nodes = len(problem.fixed) / problem.components
    share = torch.exp(cut.double()) * len(problem.places.nodes) / nodes
    return share.clamp(1.0 / (1.5 * degree**2), 0.25)


def _each_component(basis: Tensor) -> Tensor:
    """Return functions of each component (n, c, R) as functions of degrees of freedom, shape (n c, c R)."""
    nodes, c, count = basis.shape
    unit = torch.eye(c, dtype=basis.dtype, device=basis.device)
    return torch.einsum("ncr,cd->ncdr", basis, unit).reshape(nodes * c, c * count)


def _constant_at_first(width: int, outputs: int, value: float) -> nn.Linear:
    layer = nn.Linear(width, outputs)
    nn.init.zeros_(layer.weight)
    nn.init.constant_(layer.bias, value)
    return layer
