"""Elliptic problems with exact solutions."""
