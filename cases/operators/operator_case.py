"""What a case of operator networks is: problems that none has seen, and the networks that are to solve them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from firedrake import COMM_WORLD
from pydantic import Field

from cases.case import Case
from cases.options import CaseOptions, FilePath

if TYPE_CHECKING:
    from cases.operators.networks import LoadedNetwork
    from learned.operators.problem import OperatorProblem

# From here on geometries are numbered, of any seed: no data set to train on has as many.
FIRST_NUMBER = 1_000_000


class OperatorOptions(CaseOptions):
    """Options of every case of operator networks."""

    geometries: int = Field(40, ge=1, le=100_000, description="how many geometries are drawn")
    nodes: int = Field(
        900, ge=100, le=20_000, description="nodes of a geometry: each has between half of it and twice as many"
    )
    right_sides: int = Field(
        8, ge=2, le=1_000, description="right-hand sides on each geometry; reciprocity is about pairs of them"
    )
    moved: float = Field(0.5, ge=0, le=1, description="share of geometries whose meshes are moved")
    weights: Annotated[str, FilePath()] = Field(
        "",
        description="folder with MODEL-PROBLEM.safetensors, or with the folders MODEL-PROBLEM that `driftmesh train` "
        "leaves; empty for the weights that come with the package",
    )


@dataclass(frozen=True)
class Look:
    """How solutions are drawn.

    Attributes
    ----------
    label
        What the colours mean, with its unit: of the value or, of vectors, their length.
    deformed
        Whether vectors are displacements of the nodes.
    streamlines
        Whether they are velocities.
    """

    label: str
    deformed: bool = False
    streamlines: bool = False


@dataclass(frozen=True)
class OperatorSetup:
    """All that a run needs, made by :meth:`OperatorCase.build`.

    Attributes
    ----------
    problem
        Name of the family of problems, see ``coupling.operator_data``.
    options
        Of the case.
    networks
        What is to solve them, by name.
    look
        How solutions are drawn.
    """

    problem: str
    options: OperatorOptions
    networks: Mapping[str, LoadedNetwork]
    look: Look

    def is_moved(self, number: int) -> bool:
        """Tell whether the mesh of a geometry is moved: of any first so many the share asked for, to one."""
        share = self.options.moved
        return int((number + 1) * share) > int(number * share)

    def draw(self, number: int, seed: int) -> OperatorProblem:
        """Return a geometry with its right-hand sides and solutions; of any seed none of those to train on.

        Parameters
        ----------
        number
            From 0 on.
        seed
            Of the run.
        """
        from coupling.operator_data import OperatorSettings, make_operator
        from learned.operators.problem import problem_of

        settings = OperatorSettings(
            problem=self.problem,
            seed=seed,
            nodes=self.options.nodes,
            right_sides=self.options.right_sides,
            moved=float(self.is_moved(number)),
        )
        return problem_of(make_operator(settings, FIRST_NUMBER + number))


class OperatorCase(Case):
    """Networks with and without structure against the finite elements they stand in for, on geometries not seen.

    A subclass says which problems they are and how their solutions are drawn.
    """

    has_mesh = False
    Options = OperatorOptions
    smallest: ClassVar[Mapping[str, object]] = {"geometries": 2, "nodes": 150, "right_sides": 2}

    problem: ClassVar[str]
    look: ClassVar[Look]

    def mesh(self, options: OperatorOptions) -> None:
        """Return None: each geometry has a mesh of its own."""

    def build(self, options: OperatorOptions, mesh) -> OperatorSetup:
        """Return what a run needs, weights loaded and tried on a small problem.

        Parameters
        ----------
        options
            Of the case.
        mesh
            None.

        Raises
        ------
        ValueError
            On several ranks, and for weights that are missing, damaged, or of another problem.
        """
        if COMM_WORLD.size > 1:
            raise ValueError(
                f"case {self.name}: got {COMM_WORLD.size} ranks, expected one, as networks see whole geometries; run "
                "it without mpiexec"
            )
        from cases.operators.networks import load_networks

        return OperatorSetup(self.problem, options, load_networks(self.problem, options.weights), self.look)
