"""Learned movers: the contract of all movers, and what the way to the graph and back must keep."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest
import test_movers as contract
import torch
from domains import MESHES, MONITORS, nodal
from firedrake import Function, FunctionSpace, Mesh, UnitDiskMesh, UnitSquareMesh

from coupling.exact_boundary import ExactBoundary, gather_boundary
from coupling.gather import gather_graph
from coupling.graph_mover import GraphMove, GraphMover
from coupling.movers import DMM, UM2N, Drift
from coupling.registry import LEARNED, MOVERS, get_mover
from learned.boundary import SlidingBoundary
from learned.weights import NETWORKS, ModelCard, save_weights
from meshing.boundary import attach_boundary
from meshing.computational import set_computational_mesh
from meshing.curves import Circle
from meshing.monitor import FieldMonitor
from meshing.mover import MoveStatus
from meshing.quality import mesh_quality


@pytest.fixture(autouse=True)
def all_movers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the contract know the learned movers, too."""
    monkeypatch.setattr(contract, "get_mover", get_mover)
    monkeypatch.setattr(contract, "MOVED", [*contract.MOVED, *LEARNED])


# They give a mesh at once and say nothing of how good it is: figures in their cards, not a part of the contract.
DIRECT = {"um2n": UM2N, "dmm": DMM}
DESCENDING = [name for name in LEARNED if name not in DIRECT]


# -- the contract -----------------------------------------------------------------------------------------------


# Noise keeps a mover looking for as long as it may: once in the plane and once in space.
MOVES = [
    (name, domain, monitor)
    for name, entry in LEARNED.items()
    for domain in MESHES
    for monitor in MONITORS
    if (monitor != "noise" or domain in "square cube") and (3 if domain == "cube" else 2) in entry.dimensions
]


@pytest.mark.parametrize(("name", "domain", "monitor"), MOVES)
def test_no_cell_is_inverted_and_the_domain_keeps_its_shape(name: str, domain: str, monitor: str) -> None:
    contract.test_no_cell_is_inverted_and_the_domain_keeps_its_shape(name, domain, monitor)


@pytest.mark.parametrize("name", LEARNED)
def test_the_same_move_gives_the_same_numbers(name: str) -> None:
    contract.test_the_same_move_gives_the_same_numbers(name)


@pytest.mark.parametrize("name", LEARNED)
def test_a_monitor_function_that_is_not_finite_moves_nothing(name: str) -> None:
    contract.test_a_monitor_function_that_is_not_finite_moves_nothing(name)


@pytest.mark.parametrize("domain", MESHES)
@pytest.mark.parametrize("name", DESCENDING)
def test_what_moves_equidistributes(name: str, domain: str) -> None:
    contract.test_what_moves_equidistributes(name, domain)


@pytest.mark.parametrize("name", LEARNED)
@pytest.mark.parametrize(("family", "degree"), [("CG", 2), ("DG", 0), ("DG", 1)])
def test_a_monitor_function_in_another_space_is_refused(name: str, family: str, degree: int) -> None:
    contract.test_a_monitor_function_in_another_space_is_refused(name, family, degree)


# -- what differs from the conventional ones ----------------------------------------------------------------------


@pytest.mark.parametrize("name", DESCENDING)
def test_a_feature_that_jumps_is_followed_as_well_as_from_the_beginning(name: str) -> None:
    mesh, mover = UnitSquareMesh(20, 20), get_mover(name)
    present, spreads = mesh, []
    for place in (0.2, 0.8, 0.2):
        monitor = contract.spike(place)
        pairs = ((mover, present), (get_mover(name), mesh))
        moved, fresh = (Mesh(of.move(at, monitor).coordinates) for of, at in pairs)
        spreads.append([mesh_quality(at, mesh, monitor(at)).relative_spread for at in (present, moved, fresh)])
        present = moved
    for before, after, from_the_beginning in spreads:
        # 0.11 after 3 to 4.
        assert after < 0.1 * before and after < 1.2 * from_the_beginning


@pytest.mark.parametrize("name", LEARNED)
def test_a_move_that_fails_does_not_spoil_the_next(name: str) -> None:
    mesh, mover = UnitSquareMesh(12, 12), get_mover(name)
    assert mover.move(mesh, nodal(lambda points: np.full(len(points), np.inf))).status is MoveStatus.FAILED
    again, fresh = (of.move(mesh, MONITORS["ring"]) for of in (mover, get_mover(name)))
    assert again.status is MoveStatus.DONE
    np.testing.assert_array_equal(again.coordinates.dat.data_ro, fresh.coordinates.dat.data_ro)


def test_a_monitor_function_that_fails_on_the_way_ends_the_move() -> None:
    mesh, calls = UnitSquareMesh(12, 12), []

    def fragile(moved) -> Function:
        calls.append(moved.coordinates.dat.data_ro.copy())
        if len(calls) == 2:
            raise ValueError("expression: got values that are not positive")
        return MONITORS["ring"](moved)

    result = Drift().move(mesh, fragile)
    assert len(calls) == 2 and np.abs(calls[1] - calls[0]).max() > 0.01
    assert result.status is MoveStatus.NOT_CONVERGED
    np.testing.assert_array_equal(result.coordinates.dat.data_ro, mesh.coordinates.dat.data_ro)


class Worse(GraphMover):
    """Makes a good mesh a bad one."""

    def moved(self, whole, points, monitor) -> GraphMove:
        """Draw all vertices inside to a corner."""
        inside = whole.mesh.bound == 0
        return GraphMove(torch.where(inside, points - 0.3 * (points + 0.5), points))


def test_of_the_meshes_looked_at_the_best_is_taken() -> None:
    mesh = UnitSquareMesh(8, 8)
    result = Worse().move(mesh, MONITORS["constant"])
    np.testing.assert_array_equal(result.coordinates.dat.data_ro, mesh.coordinates.dat.data_ro)


def test_cells_too_narrow_for_single_precision_do_not_hold_it_up() -> None:
    mesh = UnitSquareMesh(12, 12)
    fresh = Drift().move(mesh, MONITORS["ring"]).coordinates.dat.data_ro
    coordinates = mesh.coordinates.copy(deepcopy=True)
    points = coordinates.dat.data_wo
    # A column of cells, drawn to a billionth of its width.
    points[np.isclose(points[:, 0], 6 / 12), 0] = 5 / 12 + 1e-10
    crushed = Mesh(coordinates)
    result = Drift().move(crushed, MONITORS["ring"])
    before, after = (mesh_quality(at, mesh, MONITORS["ring"](at)) for at in (crushed, Mesh(result.coordinates)))
    assert result.status in (MoveStatus.DONE, MoveStatus.LIMITED) and after.tangled == 0
    assert after.relative_spread < 0.5 * before.relative_spread
    if result.status is MoveStatus.DONE:
        np.testing.assert_allclose(result.coordinates.dat.data_ro, fresh, rtol=0, atol=0.2 / 12)


def test_where_nothing_changes_it_comes_to_rest() -> None:
    """In a running solve it begins with the mesh as it is: moves for the same monitor function become shorter."""
    mesh, mover = UnitSquareMesh(20, 20), Drift()
    moved, ways = Mesh(mover.move(mesh, MONITORS["ring"]).coordinates), []
    for _ in range(4):
        again = mover.move(moved, MONITORS["ring"])
        assert again.status is MoveStatus.DONE and again.iterations <= 2
        ways.append(np.abs(again.coordinates.dat.data_ro - moved.coordinates.dat.data_ro).max())
        moved = Mesh(again.coordinates)
    print("vertices move at most", *(f"{20 * way:.3f}" for way in ways), "of a cell")
    # A tenth of a cell after one or two, less and less.
    assert ways[3] < ways[2] < ways[1] < ways[0] < 0.3 / 20 and ways[2] < 0.1 / 20


def test_numbers_of_vertices_and_place_and_size_of_the_domain_do_not_matter() -> None:
    """The same mesh 1,000 times as large and far away, with its vertices in another order, moves alike."""
    from meshing.plex import mesh_from_cells

    mesh = UnitSquareMesh(12, 9)
    points, cells = mesh.coordinates.dat.data_ro, mesh.coordinates.cell_node_map().values
    order = np.random.default_rng(0).permutation(len(points))
    scale, origin = 1024.0, 2.0**20
    none = np.zeros((0, 2), int), np.zeros(0, int)
    plain = mesh_from_cells(points, cells, *none)
    other = mesh_from_cells(scale * points[np.argsort(order)] + origin, order[cells], *none)
    ring, far = MONITORS["ring"], nodal(lambda at: ring_values((at - origin) / scale))

    def ring_values(at: np.ndarray) -> np.ndarray:
        return 1.0 + 10.0 / np.cosh(20.0 * (((at - 0.4) ** 2).sum(axis=1) - 0.09)) ** 2

    ways = []
    for at, monitor in ((plain, ring), (other, far)):
        result = Drift().move(at, monitor)
        before, after = at.coordinates.dat.data_ro, result.coordinates.dat.data_ro
        ways.append((after - before)[np.lexsort(before.round(6).T)])
    assert np.abs(ways[0]).max() > 0.02
    # Single precision, and the grid of doubles at 2^20.
    np.testing.assert_allclose(ways[1] / scale, ways[0], rtol=0, atol=1e-4)


def test_target_relative_keeps_the_grading_of_the_computational_mesh() -> None:
    mesh = MESHES["graded"]()
    spreads = {}
    for target in ("relative", "integral"):
        moved = Mesh(Drift(target=target).move(mesh, MONITORS["constant"]).coordinates)
        quality = mesh_quality(moved, mesh, MONITORS["constant"](moved))
        spreads[target] = quality.spread, quality.relative_spread
    assert spreads["relative"][1] < 1e-3 < spreads["integral"][1]
    assert spreads["integral"][0] < 0.5 * spreads["relative"][0]


def test_what_is_kept_follows_the_computational_mesh_and_goes_with_the_topology() -> None:
    mesh, mover = UnitSquareMesh(10, 10), Drift()
    first = mover.move(mesh, MONITORS["constant"])
    # Where nothing is to be done, rounding decides.
    np.testing.assert_allclose(first.coordinates.dat.data_ro, mesh.coordinates.dat.data_ro, rtol=0, atol=1e-4)
    moved = Mesh(mover.move(mesh, MONITORS["ring"]).coordinates)
    back = mover.move(moved, MONITORS["constant"]).coordinates.dat.data_ro
    np.testing.assert_allclose(back, mesh.coordinates.dat.data_ro, rtol=0, atol=1e-3)
    set_computational_mesh(moved)
    stays = mover.move(moved, MONITORS["constant"]).coordinates.dat.data_ro
    np.testing.assert_allclose(stays, moved.coordinates.dat.data_ro, rtol=0, atol=1e-4)
    (kept,) = map(weakref.ref, mover._known.values())
    del mesh, moved, first
    gc.collect()
    assert kept() is None


@pytest.mark.parametrize("name", DIRECT)
def test_networks_that_give_a_mesh_at_once_ask_once(name: str) -> None:
    """As published: no second look at m. On a mesh like those of training it is better than not to move."""
    mesh, calls = UnitSquareMesh(20, 20), []

    def ring(moved) -> Function:
        calls.append(1)
        return MONITORS["ring"](moved)

    moved = Mesh(get_mover(name).move(mesh, ring).coordinates)
    before, after = (mesh_quality(at, mesh, MONITORS["ring"](at)).relative_spread for at in (mesh, moved))
    assert len(calls) == 1 and after < 0.8 * before


@pytest.mark.parametrize(("name", "mover"), DIRECT.items())
def test_untrained_networks_are_safe_and_planes_only(name: str, mover, tmp_path: Path) -> None:
    """Whatever the weights: no cell is inverted, and nothing becomes worse if the best mesh is kept."""
    torch.manual_seed(0)
    weights = tmp_path / f"{name}.safetensors"
    save_weights(weights, NETWORKS[name](), ModelCard(network=name, options={}))
    for domain in ("square", "disc", "L-shape"):
        mesh, monitor = MESHES[domain](), MONITORS["ring"]
        result = mover(weights=weights, keep_best=True).move(mesh, monitor)
        moved = Mesh(result.coordinates)
        before, after = (mesh_quality(at, mesh, monitor(at)) for at in (mesh, moved))
        assert result.min_jacobian_ratio > 0.0 and after.tangled == 0
        assert after.relative_spread < 1.05 * before.relative_spread
    with pytest.raises(ValueError, match="mesh: got one in 3 dimensions, expected 2 for"):
        mover(weights=weights).move(MESHES["cube"](), MONITORS["ring"])
    with pytest.raises(ValueError, match=f"weights: got those of {name}, expected those of drift; name another file"):
        Drift(weights=weights)


# -- curved boundaries --------------------------------------------------------------------------------------------


def gathered_boundary(mesh) -> tuple[ExactBoundary, SlidingBoundary]:
    """Return the exact boundary of a mesh and the one of its facets, in units of metres."""
    gathered = gather_graph(mesh)
    graph = gathered.graph
    exact = ExactBoundary(gather_boundary(mesh, gathered), graph, torch.zeros(2), 1.0)
    return exact, SlidingBoundary(graph.pos.T, graph.facets, graph.facet_markers, dtype=torch.float64)


def test_straight_sides_are_left_to_the_facets_and_curves_are_not() -> None:
    for make, straight in ((lambda: UnitSquareMesh(5, 4), True), (lambda: UnitDiskMesh(3), False)):
        mesh = make()
        exact, facets = gathered_boundary(mesh)
        assert exact.is_polygon(gather_graph(mesh).graph.pos.T, facets.vertices, facets.fixed) is straight


def test_vertices_slide_along_the_circle() -> None:
    mesh = UnitDiskMesh(3)
    attach_boundary(mesh, {1: Circle((0.0, 0.0), 1.0)} if _markers(mesh) == {1} else None)
    exact, _ = gathered_boundary(mesh)
    points = gather_graph(mesh).graph.pos.T
    assert len(exact.vertices) and not exact.fixed.any()
    rng = np.random.default_rng(1)
    step = torch.from_numpy(0.05 * rng.standard_normal(points.shape))
    along = exact.tangential(points, step)
    own, place = along[:, exact.vertices], points[:, exact.vertices]
    normals = exact.normals(points)
    torch.testing.assert_close(normals, place, rtol=0, atol=1e-4)
    assert float((own * normals).sum(0).abs().max()) < 1e-12
    there = exact.project(points + step)
    assert float((torch.linalg.vector_norm(there[:, exact.vertices], dim=0) - 1.0).abs().max()) < 1e-4
    inside = torch.ones(points.shape[1], dtype=torch.bool)
    inside[exact.vertices] = False
    assert torch.equal(along[:, inside], step[:, inside])
    assert torch.equal(there[:, inside], (points + step)[:, inside])


def _markers(mesh) -> set[int]:
    return {int(marker) for marker in mesh.exterior_facets.unique_markers}


# -- errors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "volume"}, "target: got 'volume', expected one of integral, relative"),
        ({"rounds": 0}, "rounds: got 0, expected 1 or more"),
        ({"tolerance": -1.0}, "tolerance: got -1.0, expected 0 or more, such as 0.05"),
        ({"max_iterations": 0}, "max_iterations: got 0, expected 1 or more"),
        ({"weights": Path("absent.safetensors")}, "card: got no file absent.json, expected the weights' model card"),
        ({"weights": Path("weights.pt")}, "weights: got weights.pt, expected a .safetensors file; pickled"),
    ],
)
def test_bad_options_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError) as raised:
        Drift(**options)
    assert str(raised.value).startswith(message) and "\n" not in str(raised.value)


def test_an_unknown_mover_is_refused() -> None:
    with pytest.raises(ValueError, match=f"mover: got 'drft', expected one of {', '.join(MOVERS)}"):
        get_mover("drft")


def test_the_registry_does_without_torch_until_a_learned_mover_is_asked_for() -> None:
    code = (
        "import sys\nfrom coupling.registry import MOVERS, get_mover\nget_mover('mmpde')\n"
        "print('torch' in sys.modules, *MOVERS)\nsys.modules['torch'] = None\n"
        "try:\n    get_mover('drift')\nexcept ValueError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    first, second = done.stdout.splitlines()
    assert first.split() == ["False", *MOVERS]
    assert second == (
        "mover: got 'drift' without torch installed, expected what learned movers need; "
        "pip install 'driftmesh[learned]'"
    )


def test_a_field_of_the_present_mesh_needs_one_round() -> None:
    """What is linear on the mesh as it is, is what the mover has counted with: it is asked twice."""
    mesh = UnitSquareMesh(16, 16)
    field = Function(FunctionSpace(mesh, "CG", 1)).assign(MONITORS["ring"](mesh))
    monitor, calls = FieldMonitor(field), []

    def counted(moved) -> Function:
        calls.append(1)
        return monitor(moved)

    assert Drift().move(mesh, counted).status is MoveStatus.DONE and len(calls) == 2
