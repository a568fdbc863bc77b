"""Structure as composable last operations: what they impose holds to rounding, whatever a network predicts."""

from learned.operators.structure.affine import AffineConstraints
from learned.operators.structure.base import Structure
from learned.operators.structure.bounded_mass import BoundedMass
from learned.operators.structure.bounds import Bounds
from learned.operators.structure.cell_means import CellMeans
from learned.operators.structure.coarse_space import CoarseSpace
from learned.operators.structure.composed import Composed, Unconstrained
from learned.operators.structure.convex_dissipative import ConvexDissipative
from learned.operators.structure.data import LinearMap
from learned.operators.structure.dirichlet import Dirichlet
from learned.operators.structure.dissipative import Dissipative
from learned.operators.structure.divergence_free import DivergenceFree
from learned.operators.structure.galerkin import GalerkinCorrection
from learned.operators.structure.local_conservation import LocalConservation
from learned.operators.structure.mass import Mass
from learned.operators.structure.self_adjoint import SelfAdjoint

__all__ = [
    "AffineConstraints",
    "BoundedMass",
    "Bounds",
    "CellMeans",
    "CoarseSpace",
    "Composed",
    "ConvexDissipative",
    "Dirichlet",
    "Dissipative",
    "DivergenceFree",
    "GalerkinCorrection",
    "LinearMap",
    "LocalConservation",
    "Mass",
    "SelfAdjoint",
    "Structure",
    "Unconstrained",
]
