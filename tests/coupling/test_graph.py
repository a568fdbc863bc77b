"""A mesh as a graph on one rank: exact both ways, its boundary known, the same after any renumbering."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from firedrake import (
    Constant,
    FacetNormal,
    Function,
    FunctionSpace,
    Mesh,
    SpatialCoordinate,
    SquareMesh,
    TestFunction,
    UnitCubeMesh,
    UnitDiskMesh,
    UnitIntervalMesh,
    UnitSquareMesh,
    VectorFunctionSpace,
    assemble,
    dot,
    ds,
    dx,
    inner,
)

from coupling.exchange import VertexExchange
from coupling.gather import gather_graph
from coupling.graph import apply_positions, mesh_graph
from learned.graph import INSIDE, MeshGraph, facet_vectors
from meshing.patches import MeshPatches
from meshing.simplex import simplex_volumes

MESHES = {
    "square": lambda: UnitSquareMesh(4, 3),
    "crossed": lambda: UnitSquareMesh(3, 3, diagonal="crossed"),
    "disk": lambda: UnitDiskMesh(2),
    "cube": lambda: UnitCubeMesh(2, 3, 2),
}


@pytest.fixture(params=MESHES)
def mesh(request: pytest.FixtureRequest):
    """Return a mesh whose nodes are off their regular places, those of the boundary too."""
    regular = MESHES[request.param]()
    points = mesh_graph(regular).pos.numpy()
    return Mesh(apply_positions(regular, points + 0.03 * np.sin(7.0 * points[:, ::-1] + 1.0)))


def test_round_trip_is_exact(mesh) -> None:
    places = mesh.coordinates.dat.data_ro.copy()
    graph = mesh_graph(mesh)
    np.testing.assert_array_equal(graph.pos.numpy(), places)
    back = apply_positions(mesh, graph.pos)
    np.testing.assert_array_equal(back.dat.data_ro, places)
    again = mesh_graph(Mesh(back))
    for name, value in vars(graph).items():
        assert getattr(again, name).equal(value), name
    # The mesh, and what it was given, stay apart.
    graph.pos.mul_(2.0)
    np.testing.assert_array_equal(mesh.coordinates.dat.data_ro, places)
    np.testing.assert_array_equal(back.dat.data_ro, places)


def test_vertices_are_the_degrees_of_freedom(mesh) -> None:
    """What is linear in the places has the same values on the graph as on the mesh."""
    weights = np.arange(1.0, 1.0 + mesh.geometric_dimension)
    function = Function(FunctionSpace(mesh, "CG", 1)).interpolate(dot(Constant(weights), SpatialCoordinate(mesh)))
    np.testing.assert_allclose(mesh_graph(mesh).pos.numpy() @ weights, function.dat.data_ro, rtol=0, atol=1e-14)


def test_cells_are_those_of_the_mesh_with_positive_volume(mesh) -> None:
    graph = mesh_graph(mesh)
    cells = graph.cells.numpy()
    own = mesh.coordinates.function_space().cell_node_map().values
    np.testing.assert_array_equal(np.sort(cells, axis=1), np.sort(own, axis=1))
    volumes = simplex_volumes(graph.pos.numpy(), cells)
    assert (volumes > 0).all()
    assert volumes.sum() == pytest.approx(assemble(Function(FunctionSpace(mesh, "DG", 0)).assign(1.0) * dx), rel=1e-12)


def test_edges_fulfil_eulers_formula(mesh) -> None:
    """V - E + F (- K in 3D) = 1 for a ball."""
    graph = mesh_graph(mesh)
    vertices, edges, cells, facets = (
        len(graph.pos),
        graph.edge_index.shape[1] // 2,
        len(graph.cells),
        len(graph.facets),
    )
    if mesh.geometric_dimension == 2:
        assert vertices - edges + cells == 1
    else:
        faces = (4 * cells + facets) // 2
        assert vertices - edges + faces - cells == 1


def test_facets_point_outward_with_their_markers(mesh) -> None:
    graph = mesh_graph(mesh)
    vectors = facet_vectors(graph.pos, graph.facets)
    # The theorem of Gauss, for a constant and for the place.
    volume = simplex_volumes(graph.pos.numpy(), graph.cells.numpy()).sum()
    assert vectors.sum(dim=0).abs().max() < 1e-13
    middles = graph.pos[graph.facets].mean(dim=1)
    assert (vectors * middles).sum().item() == pytest.approx(graph.pos.shape[1] * volume, rel=1e-12)
    for marker in mesh.exterior_facets.unique_markers:
        expected = [assemble(part * ds(int(marker))) for part in FacetNormal(mesh)]
        found = vectors[graph.facet_markers == int(marker)].sum(dim=0)
        np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-12)
    assert set(graph.facet_markers.tolist()) == set(map(int, mesh.exterior_facets.unique_markers))


def test_normals_are_means_over_the_facets(mesh) -> None:
    """Against the form: the integral of the normal times a vertex's hat function has the direction of the mean."""
    graph = mesh_graph(mesh)
    space = VectorFunctionSpace(mesh, "CG", 1)
    expected = torch.from_numpy(assemble(inner(FacetNormal(mesh), TestFunction(space)) * ds).dat.data_ro.copy())
    length = torch.linalg.vector_norm(expected, dim=1)
    inside = ~graph.on_boundary
    assert (length[inside] < 1e-14).all() and (length[~inside] > 1e-3).all()
    torch.testing.assert_close(graph.normals[~inside], expected[~inside] / length[~inside, None], rtol=0, atol=1e-12)
    assert graph.normals[inside].eq(0.0).all()
    np.testing.assert_array_equal(graph.on_boundary.numpy(), MeshPatches(mesh).boundary())


def test_markers_of_a_square() -> None:
    graph = mesh_graph(UnitSquareMesh(4, 3))
    x, y = graph.pos.T
    expected = torch.full((20,), INSIDE)
    # Firedrake: 1 is x = 0, 2 is x = 1, 3 is y = 0, 4 is y = 1; in corners the least counts.
    for marker, side in ((4, y == 1), (3, y == 0), (2, x == 1), (1, x == 0)):
        expected[side] = marker
    assert graph.vertex_markers.equal(expected)
    corner = (x == 1) & (y == 0)
    # Mean of the normals of the sides, weighted by the facets: 1/3 along x, 1/4 along y.
    torch.testing.assert_close(graph.normals[corner], torch.tensor([[0.8, -0.6]], dtype=torch.float64))


def test_normals_of_a_disk_are_radial() -> None:
    """Those of a facet are, up to half its angle, in its vertices; so is their mean."""
    graph = mesh_graph(UnitDiskMesh(3))
    rim = graph.on_boundary
    longest = torch.linalg.vector_norm(facet_vectors(graph.pos, graph.facets), dim=1).max()
    assert torch.linalg.vector_norm(graph.normals[rim] - graph.pos[rim], dim=1).max() < 0.51 * longest


def test_own_vertices_are_all(mesh) -> None:
    graph, exchange = mesh_graph(mesh), VertexExchange(mesh)
    assert graph.owned.all()
    values = graph.pos.numpy()
    for complete in (exchange.total, exchange.least, exchange.from_owners):
        np.testing.assert_array_equal(complete(values), values)


def test_gathered_graph_is_the_mesh_in_the_order_of_places(mesh) -> None:
    graph, whole = mesh_graph(mesh), gather_graph(mesh)
    assert whole.graph is not None
    assert list(map(tuple, whole.graph.pos.tolist())) == sorted(map(tuple, graph.pos.tolist()))
    assert as_places(whole.graph, "cells") == as_places(graph, "cells")
    assert as_places(whole.graph, "edge_index") == as_places(graph, "edge_index")
    assert as_places(whole.graph, "facets") == as_places(graph, "facets")
    assert (simplex_volumes(whole.graph.pos.numpy(), whole.graph.cells.numpy()) > 0).all()
    for name in ("normals", "vertex_markers", "owned"):
        there = whole.gather(getattr(graph, name).numpy())
        np.testing.assert_allclose(there, getattr(whole.graph, name).numpy(), rtol=0, atol=1e-14)
    vectors = facet_vectors(whole.graph.pos, whole.graph.facets)
    assert vectors.sum(dim=0).abs().max() < 1e-13
    np.testing.assert_array_equal(whole.scatter(whole.graph.pos.numpy()), graph.pos.numpy())


def as_places(graph: MeshGraph, name: str) -> set[frozenset]:
    table = graph.edge_index.T if name == "edge_index" else getattr(graph, name)
    return {frozenset(map(tuple, row)) for row in graph.pos[table].tolist()}


def test_scatter_wants_a_row_for_each_vertex() -> None:
    whole = gather_graph(UnitSquareMesh(2, 2))
    with pytest.raises(ValueError, match="values: got 8 rows on the first rank, expected one for each of the 9"):
        whole.scatter(np.zeros((8, 2)))
    with pytest.raises(ValueError, match="values: got None on the first rank"):
        whole.scatter(None)


@pytest.mark.parametrize(
    ("positions", "message"),
    [
        (
            np.zeros((9, 3)),
            r"positions: got shape \(9, 3\), expected \(9, 2\) \(own vertices\) or \(9, 2\) .with halo.",
        ),
        (torch.zeros(8, 2), r"positions: got shape \(8, 2\), expected \(9, 2\)"),
        (torch.zeros(9, 2, device="meta"), r"positions: got shape \(9, 2\) on meta, .* move tensors with \.cpu\(\)"),
    ],
)
def test_other_positions_are_refused(positions, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        apply_positions(UnitSquareMesh(2, 2), positions)


@pytest.mark.parametrize("make", [lambda: UnitIntervalMesh(3), lambda: SquareMesh(2, 2, 1.0, quadrilateral=True)])
@pytest.mark.parametrize("function", [mesh_graph, gather_graph])
def test_other_meshes_are_refused(function, make) -> None:
    with pytest.raises(ValueError, match=r"mesh: got .* expected triangles in 2D or tetrahedra in 3D"):
        function(make())
