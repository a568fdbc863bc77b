"""Published benchmarks and guarantees, measured: ``driftmesh validate``."""

from cases.validation.suites import SUITES, run_suites

__all__ = ["SUITES", "run_suites"]
