"""On two ranks a mesh is the same graph as on one: gathered bit for bit, divided with nothing missing or twice."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.parallel

SCRIPT = Path(__file__).with_name("graphs.py")
NAMES = ("square", "disk", "cube", "dealt square", "dealt cube")
FIELDS = ("pos", "cells", "edge_index", "facets", "facet_markers", "vertex_markers", "normals", "owned")


@pytest.fixture(scope="module")
def parts(mpiexec, tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, list]]:
    """Return what each rank wrote: number of ranks, mesh, rank."""
    result = {}
    for ranks in (1, 2):
        folder = tmp_path_factory.mktemp(f"on_{ranks}")
        outcome = mpiexec(ranks, [sys.executable, SCRIPT, folder])
        assert (outcome.code, outcome.err) == (0, "")
        result[ranks] = {name: [np.load(folder / f"{name}.{r}.npz") for r in range(ranks)] for name in NAMES}
    return result


def places(part, name: str) -> set[tuple]:
    """Return tuples of the places of vertices, for each row of a table of vertex numbers."""
    table = part[name].T if name == "edge_index" else part[name]
    return {tuple(map(tuple, row)) for row in part["pos"][table].tolist()}


@pytest.mark.parametrize("name", NAMES)
def test_gathered_graph_is_bit_equal(name: str, parts) -> None:
    (serial,), (first, second) = parts[1][name], parts[2][name]
    assert not any(key.startswith("whole_") for key in second)
    for field in FIELDS:
        np.testing.assert_array_equal(first[f"whole_{field}"], serial[f"whole_{field}"], err_msg=field)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("field", ["cells", "edge_index", "facets"])
def test_each_entity_is_on_one_rank(field: str, name: str, parts) -> None:
    (serial,), (first, second) = parts[1][name], parts[2][name]
    # In any order of the corners: which is the first depends on the numbering.
    whole, one, other = ({frozenset(row) for row in places(part, field)} for part in (serial, first, second))
    # The partition of the square gives one rank the inside and none of the boundary.
    assert (one and other) or (field, name) == ("facets", "square")
    assert one.isdisjoint(other)
    assert one | other == whole
    count = sum(part[field].shape[field == "edge_index"] for part in (first, second))
    assert count == serial[field].shape[field == "edge_index"]


@pytest.mark.parametrize("name", NAMES)
def test_own_vertices_come_first_and_make_up_the_mesh(name: str, parts) -> None:
    (serial,), divided = parts[1][name], parts[2][name]
    own = [set(map(tuple, part["pos"][part["owned"]].tolist())) for part in divided]
    assert own[0] | own[1] == set(map(tuple, serial["pos"].tolist())) and own[0].isdisjoint(own[1])
    for part in divided:
        assert 0 < part["owned"].sum() < len(part["owned"])
        assert (np.diff(part["owned"].astype(int)) <= 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_values_of_vertices_are_those_of_one_rank_in_the_halo_too(name: str, parts) -> None:
    (serial,) = parts[1][name]
    row = {tuple(place): number for number, place in enumerate(serial["pos"].tolist())}
    for part in parts[2][name]:
        at = [row[tuple(place)] for place in part["pos"].tolist()]
        for field, tolerance in {
            "normals": 1e-14,
            "vertex_markers": 0,
            "messages": 1e-13,
            "volumes": 1e-14,
            "applied": 0,
            "from_first": 0,
            "exchanged": 0,
            "moved": 0,
        }.items():
            assert np.ptp(serial[field]) > 0
            np.testing.assert_allclose(part[field], serial[field][at], rtol=0, atol=tolerance, err_msg=field)
        np.testing.assert_array_equal(part["round_trip"], part["pos"][part["owned"]])


@pytest.mark.parametrize("name", NAMES)
def test_errors_are_raised_on_all_ranks(name: str, parts) -> None:
    for part in parts[2][name]:
        assert str(part["nothing_scattered"]).startswith("values: got None on the first rank")
        assert str(part["misfit_applied"]).startswith("positions: got shape")
