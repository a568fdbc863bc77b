"""A quarter of a plate with a hole, loaded so that the solution is that of Kirsch for an infinite plate."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import pi, sqrt
from typing import Any

import gmsh
import numpy as np
from firedrake import (
    COMM_WORLD,
    Constant,
    Function,
    Mesh,
    SpatialCoordinate,
    as_tensor,
    as_vector,
    assemble,
    dx,
    inner,
    max_value,
)

from fem.analytic.kirsch import KirschPlate
from fem.error_estimate import recover
from fem.problems.elasticity import Material, solve_elasticity, value_at
from meshing.boundary import attach_boundary
from meshing.curves import Circle
from meshing.generation import check_lengths
from meshing.gmsh_mesh import Side, gmsh_mesh

# Markers.
LEFT, RIGHT, BOTTOM, TOP, HOLE = 1, 2, 3, 4, 5
# Around the place of the greatest stress, over this share of the radius a mean of it is taken.
PEAK = 0.25
# In units of its modulus.
SHEET = Material(young=1.0, poisson=0.3, plane="stress")


@dataclass(frozen=True, kw_only=True)
class PlateWithHole:
    """The quarter x, y > 0 of the plate: symmetric on the axes, Kirsch's stress as traction on the outer sides.

    Parameters
    ----------
    material
        What it is of.
    width
        Side of the quarter [m], more than the radius.
    radius
        Of the hole [m].
    tension
        Far away, along x [Pa].

    Raises
    ------
    ValueError
        For lengths that are not positive, or a hole that is not in the plate.
    """

    material: Material = SHEET
    width: float = 4.0
    radius: float = 1.0
    tension: float = 1.0

    def __post_init__(self) -> None:
        check_lengths("PlateWithHole", {"width": self.width, "radius": self.radius})
        if not self.radius < self.width:
            raise ValueError(f"radius: got {self.radius}, expected less than the width {self.width} m")

    @property
    def hole(self) -> Circle:
        """The hole's shape."""
        return Circle((0.0, 0.0), self.radius)

    @property
    def exact(self) -> KirschPlate:
        """The solution."""
        material = self.material
        return KirschPlate(tension=self.tension, radius=self.radius, shear=material.shear, kolosov=material.kolosov)

    def mesh(self, *, size: float, hole_size: float | None = None, comm=COMM_WORLD) -> Mesh:
        """Mesh it with triangles.

        Parameters
        ----------
        size
            Length of edges, about [m].
        hole_size
            Length of edges at the hole, about [m]; the same if not given.
        comm
            Ranks over which the mesh is distributed.

        Returns
        -------
        Mesh
            Markers: 1 left, 2 right, 3 bottom, 4 top, 5 hole, along whose circle vertices slide.

        Raises
        ------
        ValueError
            For a length that is not positive.
        """
        near = size if hole_size is None else hole_size
        check_lengths("PlateWithHole", {"size": size, "hole_size": near})
        width, radius = self.width, self.radius

        def build() -> dict[int, Side]:
            occ = gmsh.model.occ
            centre = occ.addPoint(0, 0, 0)
            start, end = occ.addPoint(radius, 0, 0, near), occ.addPoint(0, radius, 0, near)
            corners = [occ.addPoint(x, y, 0, size) for x, y in ((width, 0), (width, width), (0, width))]
            chain = [start, *corners, end]
            lines = [occ.addLine(a, b) for a, b in pairwise(chain)]
            arc = occ.addCircleArc(end, centre, start)
            occ.addPlaneSurface([occ.addCurveLoop([*lines, arc])])
            occ.remove([(0, centre)])
            names = {BOTTOM: "bottom", RIGHT: "right", TOP: "top", LEFT: "left"}
            sides = {marker: Side(names[marker], [line]) for marker, line in zip(names, lines, strict=True)}
            return sides | {HOLE: Side("hole", [arc])}

        mesh = gmsh_mesh("plate_with_hole", 2, build, comm)
        attach_boundary(mesh, {HOLE: self.hole})
        return mesh

    def solve(self, mesh, degree: int = 1) -> Function:
        """Return the displacement on a mesh of it [m]; errors as ``solve_elasticity``."""
        xx, yy, xy = self.exact.stress(*SpatialCoordinate(mesh))
        return solve_elasticity(
            mesh,
            self.material,
            degree=degree,
            fixed={LEFT: (0.0, None), BOTTOM: (None, 0.0)},
            tractions={RIGHT: as_vector([xx, xy]), TOP: as_vector([xy, yy])},
        )

    def errors(self, u: Function, quadrature_degree: int = 8) -> tuple[float, float]:
        """Return the errors of a displacement in L2 [m^2] and in the energy norm [sqrt(J/m)], on the mesh of chords."""
        mesh = u.function_space().mesh()
        x, y = SpatialCoordinate(mesh)
        xx, yy, xy = self.exact.stress(x, y)
        measure = dx(degree=quadrature_degree)
        wrong = u - as_vector(self.exact.displacement(x, y))
        stress = self.material.stress(u) - as_tensor([[xx, xy], [xy, yy]])
        squares = [inner(wrong, wrong), inner(stress, self.material.strain(stress))]
        l2, energy = (sqrt(assemble(square * measure)) for square in squares)
        return l2, energy

    def stress_concentration(self, u: Function) -> float:
        """Return the recovered stress along x in (0, a), over the tension: K_t, exactly 3; collective."""
        space = u.function_space()
        stress = recover(space.mesh(), self.material.stress(u)[0, :], space.ufl_element().degree())
        return float(value_at(stress, (0.0, self.radius))[0]) / self.tension

    def peak_stress(self, u: Function) -> Any:
        r"""Return a mean of the stress along x where it is greatest, over the tension; collective.

        .. math:: \int k\,\sigma_{xx}(u) \Big/ S \int k,\qquad k = \max(0,\ 1 - |x - (0, a)|^2 / (a/4)^2)^2

        A functional that the energy bounds, as the value in a point is not, so that it can be the goal of adaptation.
        """
        x, y = SpatialCoordinate(u.function_space().mesh())
        weight = max_value(0.0, 1.0 - (x**2 + (y - self.radius) ** 2) / (PEAK * self.radius) ** 2) ** 2
        measure = dx(degree=10)
        share = 1.0 / (self.tension * float(assemble(weight * measure, annotate=False)))
        return assemble(Constant(share) * weight * self.material.stress(u)[0, 0] * measure)

    @property
    def exact_peak_stress(self) -> float:
        """What ``peak_stress`` is of the solution, integrated in polar coordinates around (0, a)."""
        points, weights = np.polynomial.legendre.leggauss(40)
        # In the plate are the directions phi from (0, a) in which |(0, 1) + s (cos, sin)| > 1: sin phi > -s / 2.
        distance = 0.5 * PEAK * (points + 1.0)[:, None]
        lowest = np.arcsin(-0.5 * distance)
        angle = lowest + 0.5 * (points + 1.0) * (0.5 * pi - lowest)
        shares = weights[:, None] * weights * (0.5 * pi - lowest) * distance * (1.0 - (distance / PEAK) ** 2) ** 2
        place = self.radius * distance * np.cos(angle), self.radius * (1.0 + distance * np.sin(angle))
        return float(np.sum(shares * self.exact.stress(*place)[0]) / np.sum(shares)) / self.tension
