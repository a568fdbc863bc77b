"""Fields as tensors and back: exact for every kind of space, type and device only as asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from firedrake import (
    Cofunction,
    Function,
    FunctionSpace,
    TensorFunctionSpace,
    TestFunction,
    UnitCubeMesh,
    UnitSquareMesh,
    VectorFunctionSpace,
    assemble,
    dx,
)
from hypothesis import given
from hypothesis import strategies as st

from coupling.bridge import field_shape, to_function, to_tensor

MESHES = {2: UnitSquareMesh(2, 1), 3: UnitCubeMesh(1, 1, 1)}
SPACES = {
    "CG2": lambda mesh: FunctionSpace(mesh, "CG", 2),
    "DG0": lambda mesh: FunctionSpace(mesh, "DG", 0),
    "RT1": lambda mesh: FunctionSpace(mesh, "RT", 1),
    "R": lambda mesh: FunctionSpace(mesh, "R", 0),
    "vector": lambda mesh: VectorFunctionSpace(mesh, "CG", 1),
    "tensor": lambda mesh: TensorFunctionSpace(mesh, "DG", 1),
    "symmetric": lambda mesh: TensorFunctionSpace(mesh, "CG", 1, symmetry=True),
    "mixed": lambda mesh: (
        VectorFunctionSpace(mesh, "CG", 2) * FunctionSpace(mesh, "CG", 1) * FunctionSpace(mesh, "R", 0)
    ),
    "dual": lambda mesh: VectorFunctionSpace(mesh, "CG", 1).dual(),
    "mixed dual": lambda mesh: (FunctionSpace(mesh, "RT", 1) * FunctionSpace(mesh, "DG", 0)).dual(),
}


@pytest.mark.parametrize("dimension", MESHES)
@pytest.mark.parametrize("name", SPACES)
def test_round_trip_is_exact(name: str, dimension: int) -> None:
    space = SPACES[name](MESHES[dimension])
    tensor = torch.randn(field_shape(space), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    function = to_function(tensor, space, name="field")
    assert (function.function_space(), function.name()) == (space, "field")
    assert isinstance(function, Cofunction if "dual" in name else Function)
    assert to_tensor(function).equal(tensor)
    # The order is PETSc's, that of the rows of matrices.
    with function.dat.vec_ro as vector:
        np.testing.assert_array_equal(vector.array_r, tensor.numpy().ravel())


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False), min_size=6, max_size=6))
def test_all_values_survive(values: list[float]) -> None:
    space = FunctionSpace(MESHES[2], "CG", 1)
    tensor = torch.tensor(values, dtype=torch.float64)
    assert to_tensor(to_function(tensor, space)).equal(tensor)


def test_shapes() -> None:
    mesh = MESHES[2]
    shapes = {name: field_shape(make(mesh)) for name, make in SPACES.items()}
    # 6 vertices, 9 edges, 4 triangles.
    assert shapes["CG2"] == (15,) and shapes["RT1"] == (9,) and shapes["R"] == (1,)
    assert shapes["vector"] == (6, 2) and shapes["tensor"] == (12, 2, 2) and shapes["symmetric"] == (6, 3)
    assert shapes["mixed"] == (30 + 6 + 1,) and shapes["mixed dual"] == (9 + 4,)


def test_tensor_and_field_are_copies() -> None:
    space = FunctionSpace(MESHES[2], "CG", 1)
    function = Function(space).assign(1.0)
    tensor = to_tensor(function)
    tensor.zero_()
    assert (function.dat.data_ro == 1.0).all()
    other = to_function(tensor, space)
    tensor.add_(5.0)
    assert (other.dat.data_ro == 0.0).all()


def test_type_changes_only_when_asked() -> None:
    space = FunctionSpace(MESHES[2], "CG", 1)
    function = Function(space).assign(1.0 / 3.0)
    assert to_tensor(function).dtype == torch.float64
    single = to_tensor(function, dtype=torch.float32)
    assert single.dtype == torch.float32
    assert (to_function(single, space).dat.data_ro == np.float64(np.float32(1.0 / 3.0))).all()
    assert to_tensor(function, device="meta").device.type == "meta"


def test_gradients_do_not_pass() -> None:
    space = FunctionSpace(MESHES[2], "CG", 1)
    tensor = torch.ones(6, dtype=torch.float64, requires_grad=True)
    assert not to_tensor(to_function(tensor, space)).requires_grad


def test_assembled_forms_are_fields_of_the_dual() -> None:
    space = FunctionSpace(MESHES[2], "CG", 1)
    load = to_tensor(assemble(TestFunction(space) * dx))
    assert load.shape == (6,) and load.sum().item() == pytest.approx(1.0, rel=1e-14)


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (torch.zeros(7), r"tensor: got float32 of shape \(7,\) on cpu, expected floating point of shape \(6,\) on cpu"),
        (torch.zeros(6, dtype=torch.int64), r"tensor: got int64 of shape \(6,\)"),
        (torch.zeros(6, device="meta"), r"tensor: got float32 of shape \(6,\) on meta, .*move it with \.cpu\(\)"),
    ],
)
def test_other_tensors_are_refused(tensor: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        to_function(tensor, FunctionSpace(MESHES[2], "CG", 1))
