"""Problems, time steppers, field limiters, boundary conditions and observations on Firedrake."""
