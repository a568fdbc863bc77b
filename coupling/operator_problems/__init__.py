"""Families of random boundary value problems for operator networks, one file each."""
