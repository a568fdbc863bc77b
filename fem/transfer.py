"""The interface of transfers: how a field goes from a mesh to the same mesh with its vertices moved."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from firedrake import Function, PointEvaluator, SpatialCoordinate, VectorFunctionSpace, project


class Transfer(ABC):
    """Carry a field from a mesh to a moved mesh of the same topology.

    Attributes
    ----------
    conservative
        The integral of the field over the domain stays, to round-off.
    bounded
        No value is beyond the least and the greatest value before, to round-off.
    well_balanced
        Still water stays still: for transfers of shallow-water states.
    """

    conservative: ClassVar[bool] = False
    bounded: ClassVar[bool] = False
    well_balanced: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, source: Function, moved_mesh) -> Function:
        """Return the field on the moved mesh; collective.

        Parameters
        ----------
        source
            Field on the mesh as it was.
        moved_mesh
            Mesh of the same topology, no cell inverted.

        Returns
        -------
        Function
            In the same element on the moved mesh.
        """


def same_space(source: Function, moved_mesh):
    """Return the space of a function on another mesh of the same topology."""
    return source.function_space().reconstruct(mesh=moved_mesh)


class InterpolationTransfer(Transfer):
    """Take the values that the field has where the nodes are now; second order for P1, and keeps nothing else.

    On facets of a discontinuous field one of the two values is taken. Nodes outside of the old mesh, at curved
    boundaries, keep their value.
    """

    bounded: ClassVar[bool] = True

    def __call__(self, source: Function, moved_mesh) -> Function:
        """See :class:`Transfer`.

        Raises
        ------
        ValueError
            For elements whose degrees of freedom are no values at points, or are moments of bounded fields only.
        """
        target = same_space(source, moved_mesh)
        element = target.ufl_element()
        if element.family() not in ("Lagrange", "Discontinuous Lagrange", "DQ") and not element.sub_elements:
            raise ValueError(f"source: got {element}, expected values at points, Lagrange or discontinuous Lagrange")
        scalar = element.sub_elements[0] if source.function_space().value_shape else element
        nodes = VectorFunctionSpace(moved_mesh, scalar)
        points = Function(nodes).interpolate(SpatialCoordinate(moved_mesh)).dat.data_ro
        evaluator = PointEvaluator(
            source.function_space().mesh(), points, missing_points_behaviour="ignore", redundant=False
        )
        values = evaluator.evaluate(source)
        result = Function(target, name=source.name())
        missing = np.isnan(values)
        result.dat.data_wo[:] = np.where(missing, source.dat.data_ro, values)
        return result


class ProjectionTransfer(Transfer):
    """Project in L2 over the intersections of old and new cells, the supermesh; conservative, not bounded.

    Conservative where old and new mesh cover the same domain. On one rank.

    Notes
    -----
    Farrell, Piggott, Pain, Gorman and Wilson (2009), Comput. Methods Appl. Mech. Engrg. 198, 2632.
    """

    conservative: ClassVar[bool] = True

    # Firedrake's own tolerance would be that to which the integral is kept.
    _PARAMETERS: ClassVar[dict] = {"ksp_type": "cg", "pc_type": "jacobi", "ksp_rtol": 1e-15, "ksp_atol": 1e-50}

    def __call__(self, source: Function, moved_mesh) -> Function:
        """See :class:`Transfer`.

        Raises
        ------
        ValueError
            On several ranks, whose parts of old and new mesh do not cover the same places.
        """
        if moved_mesh.comm.size > 1:
            raise ValueError("projection: got several ranks, expected one; take the remap, which works on any number")
        result = Function(same_space(source, moved_mesh), name=source.name())
        return result.assign(project(source, result.function_space(), solver_parameters=self._PARAMETERS))
