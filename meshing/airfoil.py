"""Airfoils of the NACA 4-digit series: their outline, and the domain around one."""

from __future__ import annotations

from pathlib import Path

import gmsh
import numpy as np
from firedrake import COMM_WORLD, Mesh

from meshing.boundary import attach_boundary
from meshing.curves import Circle
from meshing.generation import check_lengths
from meshing.gmsh_mesh import Side, gmsh_mesh

# Points of each of the two splines that make an airfoil, denser towards the edges.
_POINTS = 200


def naca_outline(digits: str, points: int) -> tuple[np.ndarray, np.ndarray]:
    r"""Return upper and lower side of an airfoil of the NACA 4-digit series with chord 1.

    With the digits MPTT, camber m = M / 100 at p = P / 10 and thickness t = TT / 100:

    .. math::
        y_t &= 5 t (0.2969 \sqrt x - 0.1260 x - 0.3516 x^2 + 0.2843 x^3 - 0.1036 x^4), \\
        y_c &= m / p^2 \, (2 p x - x^2) \text{ for } x \le p, \quad
               m / (1 - p)^2 \, (1 - 2 p + 2 p x - x^2) \text{ for } x > p, \\
        (x, y) &= (x \mp y_t \sin\theta, y_c \pm y_t \cos\theta), \quad \tan\theta = y_c'.

    The last coefficient is -0.1036 in place of the -0.1015 of the source, so that the trailing edge is closed.

    Parameters
    ----------
    digits
        The four digits, such as "0012" or "2412".
    points
        Number of points n on each side, at x = (1 - cos(pi k / (n - 1))) / 2 along the chord.

    Returns
    -------
    numpy.ndarray, numpy.ndarray
        Upper and lower side, both from the leading edge (0, 0) to the trailing edge (1, 0), shape (n, 2) each.

    Raises
    ------
    ValueError
        If the digits are not four, the thickness is zero, or there is camber without a place for it.

    References
    ----------
    E. N. Jacobs, K. E. Ward and R. M. Pinkerton (1933), The characteristics of 78 related airfoil sections from tests
    in the variable-density wind tunnel, NACA Report 460.
    """
    if not isinstance(digits, str) or len(digits) != 4 or not (digits.isascii() and digits.isdecimal()):
        raise ValueError(f"airfoil: got digits {digits!r}, expected four in quotes, such as '0012' or '2412'")
    camber, place, thickness = int(digits[0]) / 100, int(digits[1]) / 10, int(digits[2:]) / 100
    if thickness == 0 or (camber > 0 and place == 0):
        raise ValueError(
            f"airfoil: got digits {digits!r}, expected a thickness (the last two) of 01 or more and a place of the "
            "camber (the second) of 1 or more unless the first is 0, such as '0012' or '2412'"
        )
    x = 0.5 * (1.0 - np.cos(np.linspace(0.0, np.pi, points)))
    half = 0.2969 * np.sqrt(x) + x * (-0.1260 + x * (-0.3516 + x * (0.2843 - 0.1036 * x)))
    half = 5.0 * thickness * half
    # At the trailing edge the sum of the coefficients is 0 but for rounding.
    half[-1] = 0.0
    mean, slope = np.zeros_like(x), np.zeros_like(x)
    if camber > 0:
        front = x <= place
        scale = np.where(front, camber / place**2, camber / (1.0 - place) ** 2)
        mean = scale * (np.where(front, 0.0, 1.0 - 2.0 * place) + 2.0 * place * x - x**2)
        mean[-1] = 0.0
        slope = 2.0 * scale * (place - x)
    cosine = 1.0 / np.hypot(1.0, slope)
    across = half[:, None] * np.stack([-slope * cosine, cosine], axis=1)
    middle = np.stack([x, mean], axis=1)
    return middle + across, middle - across


def airfoil(
    digits: str = "0012",
    *,
    chord: float = 1.0,
    angle_of_attack: float = 0.0,
    radius: float = 15.0,
    size: float = 2.0,
    airfoil_size: float = 0.02,
    comm=COMM_WORLD,
    save: str | Path | None = None,
) -> Mesh:
    """Mesh the disc around an airfoil of the NACA 4-digit series with triangles.

    The quarter of the chord is in the origin, the centre of the disc; air that flows in the direction of x meets the
    airfoil at its angle of attack.

    Parameters
    ----------
    digits
        The four digits of the airfoil; see ``naca_outline``.
    chord
        More than 0 [m].
    angle_of_attack
        Turn of the airfoil with its nose up, from -90 to 90 [degree].
    radius
        Of the far field, a chord or more [m].
    size
        Length of edges at the far field, about [m].
    airfoil_size
        Length of edges at the airfoil, about [m]; they are half as long at its leading edge.
    comm
        Ranks over which the mesh is distributed.
    save
        File .msh to write it to as well; see ``meshing.gmsh_mesh.gmsh_mesh``.

    Returns
    -------
    Mesh
        Markers: 1 far field, 2 airfoil. Boundary vertices slide along the circle and along a spline through those on
        the airfoil, but for the trailing edge: they are attached, see ``meshing.boundary.attach_boundary``. If edges
        are too long for the radius of the leading edge, so that they turn by more than 40 degrees, it stays, too.

    Raises
    ------
    ValueError
        For other digits, see ``naca_outline``; a length that is not positive, a radius or an angle out of its bounds.
    """
    check_lengths("airfoil", {"chord": chord, "radius": radius, "size": size, "airfoil_size": airfoil_size})
    if not radius >= chord:
        raise ValueError(f"airfoil: got radius {radius:g}, expected the chord {chord:g} or more")
    if not -90.0 <= angle_of_attack <= 90.0:
        raise ValueError(f"airfoil: got angle_of_attack {angle_of_attack}, expected -90 to 90 degrees")
    sine, cosine = np.sin(np.deg2rad(angle_of_attack)), np.cos(np.deg2rad(angle_of_attack))
    turn = np.array([[cosine, sine], [-sine, cosine]])
    upper, lower = (chord * (side - [0.25, 0.0]) @ turn.T for side in naca_outline(digits, _POINTS))

    def build() -> dict[int, Side]:
        occ = gmsh.model.occ
        circle = occ.addCircle(0, 0, 0, radius)
        occ.synchronize()
        occ.mesh.setSize(gmsh.model.getEntities(0), size)
        front = occ.addPoint(*upper[0], 0, 0.5 * airfoil_size)
        back = occ.addPoint(*upper[-1], 0, airfoil_size)
        sides = []
        for side in (upper, lower):
            between = [occ.addPoint(x, y, 0) for x, y in side[1:-1].tolist()]
            sides.append(occ.addSpline([front, *between, back]))
            occ.remove([(0, point) for point in between])
        far, hole = occ.addCurveLoop([circle]), occ.addCurveLoop([sides[0], -sides[1]])
        occ.addPlaneSurface([far, hole])
        occ.synchronize()
        return {1: Side("far field", [circle]), 2: Side("airfoil", sides)}

    mesh = gmsh_mesh("airfoil", 2, build, comm, save)
    attach_boundary(mesh, {1: Circle((0.0, 0.0), radius)})
    return mesh
