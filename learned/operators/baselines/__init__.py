"""Networks that operator networks are measured against: the same data, the same number of weights, no structure."""

from learned.operators.baselines.fno import GridFNO
from learned.operators.baselines.message_passing import MeshGraphNet
from learned.operators.baselines.mlp import DofMLP

__all__ = ["DofMLP", "GridFNO", "MeshGraphNet"]
