"""Firedrake code as a function of the positions of a mesh's nodes, with the gradient for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from firedrake import Function, Mesh
from torch import Tensor

from coupling.bridge import field_shape, to_function
from coupling.missing_derivatives import check_positions
from coupling.recording import apply_recorded
from learned.checks import check_float64


class NodeOperator:
    r"""Evaluate Firedrake code on a mesh whose nodes lie where a tensor says.

    .. math:: \frac{dJ}{dx_i} \text{ for } J(u(x), x),\ F(u(x), x) = 0

    the derivative for the nodes of forms pulled back to the reference cell, and the adjoint of each solve.

    Parameters
    ----------
    mesh
        Mesh of triangles in 2D or tetrahedra in 3D, with straight edges; left untouched. Its topology is used.
    evaluate
        Takes the moved mesh, returns the number that ``assemble`` gives, a Function or a Cofunction. Spaces, functions
        and solvers must be made on that mesh inside. What must not depend on positions in another way than through
        forms: see Raises.

    Notes
    -----
    The gradient is that of the discrete problem, quadrature included. It is exact as long as no cell is tangled.
    Each call keeps a mesh and a tape of its own, so that a loss may sum over several positions. Under MPI, positions
    are those of own vertices, and all ranks call and differentiate together.

    Source: Ham, Mitchell, Paganini and Wechsung, Automated shape differentiation in the Unified Form Language, Struct.
    Multidisc. Optim. 60 (2019), section 3.
    """

    def __init__(self, mesh, evaluate: Callable[[Any], Any]):
        self._mesh = mesh
        self._evaluate = evaluate

    def __call__(self, positions: Tensor) -> Tensor:
        """Return the result on the mesh with its nodes at the given positions.

        Parameters
        ----------
        positions
            In the order of the mesh's coordinates (``mesh_graph``), own vertices, shape (N, d), float64 on the CPU [m].

        Returns
        -------
        Tensor
            float64: shape () for a number, ``field_shape`` of its space for a field.

        Raises
        ------
        ValueError
            For another shape, type or device; for a result that is neither a field nor a number; for what depends on
            positions in a way that pyadjoint does not see: interpolation of expressions with ``SpatialCoordinate``
            or derivatives, Dirichlet values that are expressions, fields of other meshes. Written with
            ``mesh.coordinates`` and interpolated into a Function, such expressions are differentiated.
        """
        shape = field_shape(self._mesh.coordinates.function_space())
        check_float64("positions", positions, tuple(positions.shape) == shape, str(shape))
        return apply_recorded(self._evaluated, check_positions, positions)

    def _evaluated(self, positions: Tensor) -> tuple[Sequence[Function], Any]:
        moved = Mesh(to_function(positions, self._mesh.coordinates.function_space()))
        coordinates = moved.coordinates.copy(deepcopy=True)
        # Changes nothing; it tells the tape that the mesh depends on these coordinates.
        moved.coordinates.assign(coordinates)
        return [coordinates], self._evaluate(moved)
