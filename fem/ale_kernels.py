"""Cell-local operations of moving meshes, as C kernels for PyOP2: how far facets move, and volumes on the way."""

from __future__ import annotations

from pyop2 import op2

# g_i is d! V times the gradient of the barycentric coordinate of vertex i, with V > 0; returned is d! V. The
# derivative of V by the place of vertex i is g_i/d!.
_GRADIENTS = """
#include <math.h>
#define VERTICES %(vertices)d
#define DIM (VERTICES - 1)
#define FACTORIAL (DIM == 2 ? 2.0 : 6.0)
static inline double gradients(double const *x, double *g) {
  double e[DIM][DIM], scaled = 0.0;
  for (int i = 0; i < DIM; i++)
    for (int a = 0; a < DIM; a++) e[i][a] = x[DIM*(i+1)+a] - x[a];
#if DIM == 2
  g[2] = e[1][1]; g[3] = -e[1][0];
  g[4] = -e[0][1]; g[5] = e[0][0];
#else
  for (int i = 0; i < 3; i++)
    for (int a = 0; a < 3; a++) {
      double const *p = e[(i+1)%%3], *q = e[(i+2)%%3];
      g[3*(i+1)+a] = p[(a+1)%%3]*q[(a+2)%%3] - p[(a+2)%%3]*q[(a+1)%%3];
    }
#endif
  for (int a = 0; a < DIM; a++) scaled += e[0][a]*g[DIM+a];
  if (scaled < 0.0) {
    scaled = -scaled;
    for (int k = DIM; k < VERTICES*DIM; k++) g[k] = -g[k];
  }
  for (int a = 0; a < DIM; a++) {
    g[a] = 0.0;
    for (int i = 1; i < VERTICES; i++) g[a] -= g[DIM*i+a];
  }
  return scaled;
}
"""

# A facet moves by d.n, linear on it; in units of its cell's altitude over it that is d.grad(lambda) of the vertex
# opposite. The greatest of it, or half the volume swept by all facets, over that of the cell: by the trapezoidal rule
# |d.n|, which is convex, is not underestimated. Where: the share of the way at which the cell is taken, and the place
# for the result.
_REACH = """
static void reach(double const *start, double const *d, double const *where, double *here, double *most) {
  double x[VERTICES*DIM];
  for (int k = 0; k < VERTICES*DIM; k++) x[k] = start[k] + where[0]*d[k];
  double g[VERTICES*DIM], scaled = gradients(x, g), greatest = 0.0, swept = 0.0;
  for (int i = 0; i < VERTICES; i++)
    for (int v = 0; v < VERTICES; v++) {
      double moved = 0.0;
      if (v == i) continue;
      for (int a = 0; a < DIM; a++) moved += d[DIM*v+a]*g[DIM*i+a];
      moved = fabs(moved)/scaled;
      greatest = moved > greatest ? moved : greatest;
      swept += 0.5*moved;
    }
  here[(int)where[1]] = %(reach)s;
  if (%(reach)s > most[0]) most[0] = %(reach)s;
}
"""

# volumes: at the start of the step, now, after the stage; and by how much the volume grows in unit time now.
_GROW = """
static void grow(double *volumes, double const *x, double const *w, double const *numbers) {
  double const keep = numbers[0], step = numbers[1], first = numbers[2];
  double g[VERTICES*DIM], growth = 0.0, scaled = gradients(x, g);
  for (int k = 0; k < VERTICES*DIM; k++) growth += w[k]*g[k];
  growth /= FACTORIAL;
  if (first > 0.0) volumes[0] = volumes[1] = scaled/FACTORIAL;
  else volumes[1] = volumes[2];
  volumes[2] = keep*volumes[0] + (1.0 - keep)*(volumes[1] + step*growth);
  volumes[3] = growth;
}
"""

REACH = {"crossed": "greatest", "swept": "swept"}
"""What of a cell's motion bounds the step, by name."""


def kernel(name: str, *, vertices: int, reach: str = "crossed") -> op2.Kernel:
    """Return the kernel ``reach`` or ``grow``.

    Parameters
    ----------
    name
        ``reach``: how far the facets of a cell move, in the cell and at most; ``grow``: the volumes of a stage.
    vertices
        3 for triangles, 4 for tetrahedra.
    reach
        Name in :data:`REACH`: altitudes that a facet crosses at most, or half the volume all facets sweep over the
        volume of the cell.
    """
    code = _GRADIENTS + {"reach": _REACH, "grow": _GROW}[name]
    return op2.Kernel(code % {"vertices": vertices, "reach": REACH[reach]}, name)
