"""Transport of a scalar, with exact solutions."""
