"""Cell-local operations of the conservative remap, as C kernels for PyOP2: stages, and bounds about
the mean.

A node's values lie side by side; P1 nodes are the vertices, in the order of the coordinates.
"""

from __future__ import annotations

from pyop2 import op2

# Bounds of an empty set of values.
NO_BOUND = 1e300

# Corners are the VERTICES points of a simplex, in DIM = VERTICES - 1 dimensions.
_COMMON = """
#include <math.h>
#define NODES %(nodes)d
#define PARTS %(parts)d
#define VERTICES %(vertices)d
#define DIM (VERTICES - 1)
#define FACTORIAL (DIM == 2 ? 2.0 : 6.0)
"""

# Gradients of the barycentric coordinates times the determinant of the edges, which is d! times the signed volume.
_COFACTORS = """
static inline double cofactors(double const *x, double *g) {
  double e[DIM][DIM], determinant = 0.0;
  for (int i = 0; i < DIM; i++)
    for (int a = 0; a < DIM; a++) e[i][a] = x[DIM*(i+1)+a] - x[a];
#if DIM == 2
  g[2] = e[1][1]; g[3] = -e[1][0];
  g[4] = -e[0][1]; g[5] = e[0][0];
#else
  for (int i = 0; i < 3; i++)
    for (int a = 0; a < 3; a++) {
      double const *p = e[(i+1)%3], *q = e[(i+2)%3];
      g[3*(i+1)+a] = p[(a+1)%3]*q[(a+2)%3] - p[(a+2)%3]*q[(a+1)%3];
    }
#endif
  for (int a = 0; a < DIM; a++) {
    determinant += e[0][a]*g[DIM+a];
    g[a] = 0.0;
    for (int i = 1; i < VERTICES; i++) g[a] -= g[DIM*i+a];
  }
  return determinant;
}
"""

# What comes through an interior facet into the first cell and out of the second, with the value from outside where the
# facet moves outward. u and r: the facet's nodes in the first cell, then in the second; x: its vertices, then the one
# of the first cell that is opposite; w: of its vertices. d points, each near a vertex, integrate quadratics exactly (in
# the plane, cubics).
_FLUX = """
#define ON (NODES == 1 ? 1 : DIM)
static void flux(double const *u, double const *x, double const *w, double *r) {
  double const near = DIM == 2 ? 0.5 + sqrt(3.0)/6.0 : 2.0/3.0, far = (1.0 - near)/(DIM - 1);
  double normal[DIM], speed[DIM], inward = 0.0;
#if DIM == 2
  normal[0] = x[3] - x[1];
  normal[1] = x[0] - x[2];
#else
  for (int a = 0; a < 3; a++) {
    int const b = (a+1)%3, c = (a+2)%3;
    normal[a] = 0.5*((x[3+b] - x[b])*(x[6+c] - x[c]) - (x[3+c] - x[c])*(x[6+b] - x[b]));
  }
#endif
  for (int a = 0; a < DIM; a++) inward += normal[a]*(x[DIM*DIM+a] - x[a]);
  double const sign = inward > 0.0 ? -1.0 : 1.0;
  for (int v = 0; v < DIM; v++) {
    speed[v] = 0.0;
    for (int a = 0; a < DIM; a++) speed[v] += sign/DIM*normal[a]*w[DIM*v+a];
  }
  for (int q = 0; q < DIM; q++) {
    double through = 0.0;
    for (int v = 0; v < DIM; v++) through += (v == q ? near : far)*speed[v];
    double const *from = through > 0.0 ? u + ON*PARTS : u;
    for (int c = 0; c < PARTS; c++) {
      double value = ON == 1 ? from[c] : 0.0;
      if (ON > 1)
        for (int v = 0; v < ON; v++) value += (v == q ? near : far)*from[PARTS*v+c];
      value *= through;
      for (int v = 0; v < ON; v++) {
        double const share = ON == 1 ? value : (v == q ? near : far)*value;
        r[PARTS*v+c] += share;
        r[PARTS*(ON+v)+c] -= share;
      }
    }
  }
}
"""

# How many Euler steps of equal length the motion w of the vertices takes. A facet i that moves inward by c altitudes
# takes from the mean, (u_1 + ... + u_n)/n, at most c u_a of each of its nodes, as the integral of the hat function is
# |facet|/d, and |facet|/V is d over the altitude. So with n sum_i c_i <= 1 over the facets at each node, the new mean
# is a sum of values before with weights that are not negative. For P0 a cell loses at most d sum_i c_i of its value.
_REACH = """
static void reach(double const *x, double const *w, double *most) {
  double g[VERTICES*DIM], inward[VERTICES], all = 0.0, determinant = cofactors(x, g);
  for (int i = 0; i < VERTICES; i++) {
    inward[i] = 0.0;
    for (int v = 0; v < VERTICES; v++) {
      double moved = 0.0;
      for (int a = 0; a < DIM; a++) moved += w[DIM*v+a]*g[DIM*i+a];
      moved /= determinant;
      if (v != i && moved > inward[i]) inward[i] = moved;
    }
    all += inward[i];
  }
  if (NODES == 1 && DIM*all > most[0]) most[0] = DIM*all;
  for (int i = 0; NODES > 1 && i < VERTICES; i++)
    if (NODES*(all - inward[i]) > most[0]) most[0] = NODES*(all - inward[i]);
}
"""

# r is what comes through the facets; the rest of the right-hand side is exact, with the mass matrix of P1 on a simplex,
# V/(n (n+1)) (1 + delta_ij) with n = NODES. Its inverse is n (n+1)/V times (delta_ij - 1/(n+1)). For P0 it is 1/V.
# volumes: at the start of the step, now.
_STAGE = """
static void stage(double *u, double const *start, double const *r, double *volumes, double const *x, double const *w,
                  double const *numbers) {
  double const keep = numbers[0], step = numbers[1], first = numbers[2];
  double g[VERTICES*DIM], growth = 0.0, determinant = cofactors(x, g);
  for (int k = 0; k < VERTICES*DIM; k++) {
    if (determinant < 0.0) g[k] = -g[k];
    g[k] /= FACTORIAL;
    growth += w[k]*g[k];
  }
  if (first > 0.0) volumes[0] = volumes[1] = fabs(determinant)/FACTORIAL;
  double const after = keep*volumes[0] + (1.0 - keep)*(volumes[1] + step*growth);
  double const before = keep*volumes[0]/after, now = (1.0 - keep)*volumes[1]/after, rate = (1.0 - keep)*step/after;
  for (int c = 0; c < PARTS; c++) {
    double flow[NODES], common = 0.0;
    for (int i = 0; i < NODES; i++) flow[i] = r[PARTS*i+c];
    if (NODES > 1) {
      double sum = 0.0, product[DIM];
      for (int i = 0; i < NODES; i++) sum += u[PARTS*i+c];
      for (int a = 0; a < DIM; a++) {
        product[a] = 0.0;
        for (int i = 0; i < NODES; i++) product[a] += (sum + u[PARTS*i+c])*w[DIM*i+a];
        product[a] /= NODES*(NODES + 1);
      }
      for (int i = 0; i < NODES; i++)
        for (int a = 0; a < DIM; a++) flow[i] -= product[a]*g[DIM*i+a];
      for (int i = 0; i < NODES; i++) common += flow[i];
      common /= NODES + 1;
      for (int i = 0; i < NODES; i++) flow[i] = NODES*(NODES + 1)*(flow[i] - common);
    }
    for (int i = 0; i < NODES; i++) u[PARTS*i+c] = before*start[PARTS*i+c] + now*u[PARTS*i+c] + rate*flow[i];
  }
  volumes[1] = after;
}
"""

_SPREAD = """
static void spread(double const *u, double *lower, double *upper) {
  for (int c = 0; c < PARTS; c++) {
    double least = u[c], most = u[c];
    for (int i = 1; i < NODES; i++) {
      if (u[PARTS*i+c] < least) least = u[PARTS*i+c];
      if (u[PARTS*i+c] > most) most = u[PARTS*i+c];
    }
    for (int v = 0; v < VERTICES; v++) {
      if (least < lower[PARTS*v+c]) lower[PARTS*v+c] = least;
      if (most > upper[PARTS*v+c]) upper[PARTS*v+c] = most;
    }
  }
}
"""

# Zhang and Shu (2010): the nodal values are drawn towards the mean as far as the bounds ask for. beyond is by how much
# a mean leaves them, over their distance.
_BOUND = """
static void bound(double *u, double const *lower, double const *upper, double *beyond) {
  for (int c = 0; c < PARTS; c++) {
    double low = lower[c], high = upper[c], least = u[c], most = u[c], mean = 0.0, factor = 1.0;
    for (int v = 1; v < VERTICES; v++) {
      low = lower[PARTS*v+c] < low ? lower[PARTS*v+c] : low;
      high = upper[PARTS*v+c] > high ? upper[PARTS*v+c] : high;
    }
    for (int i = 0; i < NODES; i++) {
      double const value = u[PARTS*i+c];
      mean += value;
      least = value < least ? value : least;
      most = value > most ? value : most;
    }
    mean /= NODES;
    if (mean < low || mean > high) {
      double size = fabs(low) > fabs(high) ? fabs(low) : fabs(high);
      double over = mean < low ? low - mean : mean - high;
      if (over > beyond[0]*size) beyond[0] = over/size;
    }
    if (least < low && mean - least > 0.0) factor = mean > low ? (mean - low)/(mean - least) : 0.0;
    if (most > high && (most - mean)*factor > high - mean) factor = mean < high ? (high - mean)/(most - mean) : 0.0;
    if (factor < 1.0)
      for (int i = 0; i < NODES; i++) u[PARTS*i+c] = mean + factor*(u[PARTS*i+c] - mean);
  }
}
"""


def kernel(name: str, *, nodes: int, parts: int, vertices: int) -> op2.Kernel:
    """Return the kernel ``reach``, ``flux``, ``stage``, ``spread`` or ``bound``.

    Parameters
    ----------
    name
        ``reach``: how many Euler steps the motion takes, for cell means to stay within bounds; ``flux``: what comes
        through interior facets; ``stage``: a Runge-Kutta stage of values and volumes on the moving cell; ``spread``:
        the least and greatest value of a cell into its vertices' bounds; ``bound``: nodal values back within their
        vertices' bounds.
    nodes
        Nodes of a cell, 1 or the number of vertices.
    parts
        Values a node.
    vertices
        Vertices of a cell.
    """
    code = {
        "reach": _COFACTORS + _REACH,
        "flux": _FLUX,
        "stage": _COFACTORS + _STAGE,
        "spread": _SPREAD,
        "bound": _BOUND,
    }[name]
    return op2.Kernel(_COMMON % {"nodes": nodes, "parts": parts, "vertices": vertices} + code, name)
