"""Learned mesh movers on tensors; ``coupling.movers`` puts them behind the classical interface."""
