"""Nodes and their neighbours against what Firedrake's own interpolation and a count by hand say."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from firedrake import Function, FunctionSpace, SpatialCoordinate, UnitCubeMesh, UnitSquareMesh, VectorFunctionSpace
from moved_meshes import moved

from coupling.operator_spaces import node_graph, node_points


@pytest.mark.parametrize("family", ["CG", "DG"])
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize("dimension", [2, 3])
def test_lagrange_nodes_are_where_firedrake_evaluates_the_place(family: str, degree: int, dimension: int) -> None:
    if family == "CG" and degree == 0:
        return
    mesh = moved(UnitSquareMesh(3, 2) if dimension == 2 else UnitCubeMesh(2, 1, 1))
    exact = Function(VectorFunctionSpace(mesh, family, degree)).interpolate(SpatialCoordinate(mesh)).dat.data_ro
    for space in (FunctionSpace(mesh, family, degree), VectorFunctionSpace(mesh, family, degree)):
        np.testing.assert_allclose(node_points(space), exact, rtol=0, atol=1e-15)


@pytest.mark.parametrize(("family", "degree"), [("RT", 1), ("RT", 2), ("RT", 3), ("BDM", 1), ("BDM", 2)])
def test_nodes_of_moments_are_in_the_middle_of_their_facet_or_cell(family: str, degree: int) -> None:
    mesh = moved(UnitSquareMesh(3, 2))
    space = FunctionSpace(mesh, family, degree)
    points, vertices = node_points(space), mesh.coordinates.dat.data_ro
    inside = space.finat_element.entity_dofs()
    for corners, nodes in zip(vertices[mesh.coordinates.cell_node_map().values], space.cell_node_list, strict=True):
        for facet, numbers in inside[1].items():
            middle = np.delete(corners, facet, axis=0).mean(axis=0)
            np.testing.assert_allclose(points[nodes[numbers]], np.tile(middle, (len(numbers), 1)), rtol=0, atol=1e-15)
        centre = np.tile(corners.mean(axis=0), (len(inside[2][0]), 1))
        np.testing.assert_allclose(points[nodes[inside[2][0]]], centre, rtol=0, atol=1e-15)


def test_a_mixed_space_has_the_nodes_of_its_parts_one_after_the_other() -> None:
    mesh = UnitSquareMesh(2, 2)
    parts = VectorFunctionSpace(mesh, "CG", 2), FunctionSpace(mesh, "RT", 1), FunctionSpace(mesh, "DG", 0)
    points = node_points(parts[0] * parts[1] * parts[2])
    assert np.array_equal(points, np.concatenate([node_points(part) for part in parts]))


def by_hand(cells: list[set[int]], facets: list[tuple[int, int]], jumping: set[int]) -> set[tuple[int, int]]:
    pairs = {pair for cell in cells for pair in permutations(cell, 2)}
    for one, other in facets:
        pairs |= {(a, b) for a in cells[one] & jumping for b in cells[other] & jumping}
        pairs |= {(b, a) for a in cells[one] & jumping for b in cells[other] & jumping}
    return pairs


@pytest.mark.parametrize("element", [("CG", 1), ("CG", 3), ("DG", 0), ("DG", 1), ("RT", 2)])
def test_neighbours_are_those_counted_by_hand(element: tuple[str, int]) -> None:
    mesh = UnitSquareMesh(3, 2)
    space = FunctionSpace(mesh, *element)
    facets = mesh.interior_facets.facet_cell.tolist()
    jumping = set(range(space.node_count)) if element[0] == "DG" else set()
    expected = by_hand([set(nodes) for nodes in space.cell_node_list.tolist()], facets, jumping)
    graph = node_graph(space)
    assert graph.dtype == np.int64
    # Ascending as pairs are, each once.
    assert list(map(tuple, graph.T.tolist())) == sorted(expected)


def test_in_a_mixed_space_only_discontinuous_parts_reach_across_facets() -> None:
    mesh = UnitSquareMesh(2, 2)
    parts = FunctionSpace(mesh, "CG", 1), FunctionSpace(mesh, "DG", 0)
    first = parts[0].node_count
    cells = [
        set(one) | {first + node for node in other}
        for one, other in zip(*(part.cell_node_list.tolist() for part in parts), strict=True)
    ]
    jumping = set(range(first, first + parts[1].node_count))
    expected = by_hand(cells, mesh.interior_facets.facet_cell.tolist(), jumping)
    assert list(map(tuple, node_graph(parts[0] * parts[1]).T.tolist())) == sorted(expected)
