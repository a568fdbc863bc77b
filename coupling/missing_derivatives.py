"""Find on a tape of pyadjoint what it would differentiate wrongly without a word."""

from __future__ import annotations

from firedrake import DirichletBC
from firedrake.adjoint_utils.blocks import SupermeshProjectBlock
from firedrake.mesh import MeshGeometry
from pyadjoint import OverloadedType, Tape
from ufl import Interpolate, as_tensor, as_ufl
from ufl.algorithms.analysis import extract_coefficients, extract_type
from ufl.classes import Derivative, GeometricQuantity
from ufl.core.expr import Expr
from ufl.domain import extract_domains
from ufl.pullback import identity_pullback


def check_boundary_values(tape: Tape) -> None:
    """Refuse Dirichlet values that are expressions of functions: pyadjoint takes them for constants.

    Raises
    ------
    ValueError
        If there are any.
    """
    for value in _boundary_values(tape):
        if extract_coefficients(value):
            raise ValueError(
                f"DirichletBC: got the expression {value}, whose derivative would be missing, expected a Function or "
                "a constant; interpolate the expression into a Function of the condition's space"
            )


def check_positions(tape: Tape) -> None:
    """Refuse what depends on the positions of a mesh's nodes in a way that pyadjoint does not see.

    These are interpolation of an expression with coordinates, derivatives or mapped elements, or from another mesh;
    projection between meshes; and Dirichlet values that are expressions.

    Raises
    ------
    ValueError
        If there are any.
    """
    check_boundary_values(tape)
    moved = [output for output in _variables(tape, outputs=True) if isinstance(output, MeshGeometry)]
    for value in _boundary_values(tape):
        if _needs_geometry(value) and any(domain in moved for domain in extract_domains(value)):
            raise ValueError(
                f"DirichletBC: got the expression {value}, whose derivative for positions would be missing, expected "
                "a Function or a constant; interpolate it with mesh.coordinates in place of SpatialCoordinate(mesh)"
            )
    for block in tape.get_blocks():
        form = getattr(block, "form", None)
        if isinstance(form, Interpolate):
            _check_interpolation(form, moved)
        if isinstance(block, SupermeshProjectBlock):
            raise ValueError(
                "project: got a projection between meshes, whose derivative for positions would be missing, expected "
                "fields of the moved mesh; write the field as an expression of mesh.coordinates"
            )


def _check_interpolation(form: Interpolate, moved: list) -> None:
    (value,) = form.ufl_operands
    space = form.ufl_function_space()
    spaces = [space, *(coefficient.ufl_function_space() for coefficient in extract_coefficients(value))]
    if not any(mesh in moved for mesh in (space.mesh(), *extract_domains(value))):
        return
    mapped = any(known.ufl_element().pullback is not identity_pullback for known in spaces)
    elsewhere = any(domain != space.mesh() for domain in extract_domains(value))
    if mapped or elsewhere or _needs_geometry(value):
        raise ValueError(
            f"interpolate: got {value} into {space.ufl_element()}, whose derivative for positions would be missing, "
            "expected an expression of functions of the moved mesh without derivatives and mapped elements; write "
            "mesh.coordinates in place of SpatialCoordinate(mesh), or project"
        )


def _boundary_values(tape: Tape) -> list[Expr]:
    """Return the expressions that Dirichlet conditions on a tape prescribe, those left out that are Functions."""
    values = [known._original_arg for known in _variables(tape, outputs=False) if isinstance(known, DirichletBC)]
    return [
        as_tensor(value) if isinstance(value, list | tuple) else as_ufl(value)
        for value in values
        if not isinstance(value, OverloadedType)
    ]


def _variables(tape: Tape, *, outputs: bool) -> list[OverloadedType]:
    """Return the objects that operations on a tape give, or take."""
    of = [block.get_outputs() if outputs else block.get_dependencies() for block in tape.get_blocks()]
    return [variable.output for variables in of for variable in variables]


def _needs_geometry(value: Expr) -> bool:
    return any(extract_type(value, kind) for kind in (GeometricQuantity, Derivative))
