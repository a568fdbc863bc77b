"""Operator networks on the degrees of freedom of finite-element functions."""
