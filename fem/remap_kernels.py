"""Cell-local operations of the conservative remap, as C kernels for PyOP2: how far to go, and a whole stage.

A node's values lie side by side; P1 nodes are the vertices, in the order of the coordinates.
"""

from __future__ import annotations

from pyop2 import op2

# Bounds of an empty set of values.
NO_BOUND = 1e300

# Corners are the VERTICES points of a simplex, in DIM = VERTICES - 1 dimensions. A facet has ON nodes of a cell on it.
_COMMON = """
#include <math.h>
#define NODES %(nodes)d
#define PARTS %(parts)d
#define VERTICES %(vertices)d
#define LAST %(last)d
#define DIM (VERTICES - 1)
#define FACTORIAL (DIM == 2 ? 2.0 : 6.0)
#define ON (NODES == 1 ? 1 : DIM)
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

# What a facet sweeps, per unit of pseudo-time and near each of its vertices, has the same size on both sides, as both
# have its vertices in the same order: what one cell loses the other gains, but for rounding. Facet i is opposite to
# vertex i; of a positive simplex its area vector, from the vertices in order, points outward for even i.
_SWEPT = """
static inline void swept(int i, double sign, double const *x, double const *w, double *speed) {
  double p[DIM][DIM], normal[DIM];
  for (int v = 0; v < DIM; v++)
    for (int a = 0; a < DIM; a++) p[v][a] = x[DIM*(v + (v >= i))+a];
#if DIM == 2
  normal[0] = p[1][1] - p[0][1];
  normal[1] = p[0][0] - p[1][0];
#else
  for (int a = 0; a < 3; a++) {
    int const b = (a+1)%3, c = (a+2)%3;
    normal[a] = 0.5*((p[1][b] - p[0][b])*(p[2][c] - p[0][c]) - (p[1][c] - p[0][c])*(p[2][b] - p[0][b]));
  }
#endif
  if (i%2) sign = -sign;
  for (int v = 0; v < DIM; v++) {
    speed[v] = 0.0;
    for (int a = 0; a < DIM; a++) speed[v] += sign/DIM*normal[a]*w[DIM*(v + (v >= i))+a];
  }
}
"""

# The values of a node as one vector of the processor, with room up to a power of two (an extension of C that GCC and
# Clang have): left to themselves, they take the parts one by one.
_VECTORS = """
#include <string.h>
#define WIDTH (PARTS == 1 ? 1 : PARTS == 2 ? 2 : PARTS <= 4 ? 4 : PARTS <= 8 ? 8 : 16)
typedef double vector __attribute__((vector_size(8*WIDTH)));
typedef long long mask __attribute__((vector_size(8*WIDTH)));
static inline vector load(double const *p) { vector a = {0.0}; memcpy(&a, p, 8*PARTS); return a; }
static inline void store(double *p, vector a) { memcpy(p, &a, 8*PARTS); }
static inline vector choose(mask m, vector a, vector b) { return (vector)(((mask)a & m) | ((mask)b & ~m)); }
static inline vector least(vector a, vector b) { return choose(a < b, a, b); }
static inline vector most(vector a, vector b) { return choose(a > b, a, b); }
"""

# A stage of values and volumes on the moving cell. around: the cell's values, then facet by facet those of the nodes on
# it in the cell behind, on the boundary its own. Through a facet comes the value from outside where it moves outward. d
# points, each near a vertex, integrate quadratics exactly (in the plane, cubics). The rest of the right-hand side is
# exact, with the mass matrix of P1 on a simplex, V/(n (n+1)) (1 + delta_ij) with n = NODES. Its inverse is n (n+1)/V
# times (delta_ij - 1/(n+1)). For P0 it is 1/V.
# Then nodal values are drawn towards the mean as far as the bounds ask for (Zhang and Shu 2010): those that the values
# before had around the vertices, and in the last stage, a mean with the start of the step, those of the start as well.
# beyond is by how much a mean leaves them, over their distance. The new values go into the next bounds, which the loop
# takes the least of. Bounds of a vertex: least values, then greatest with the sign turned.
# volumes: at the start of the step, now. numbers: keep, step, whether the stage is the first, pseudo-time.
_STAGE = """
static void stage(double *u, double *volumes, double *next, double *beyond, double const *around,
                  double const *origin, double const *w, double const *bounds, double const *numbers
#if LAST
                  , double const *start, double const *start_bounds
#endif
                  ) {
  double const keep = numbers[0], step = numbers[1], first = numbers[2];
  double const near = DIM == 2 ? 0.5 + sqrt(3.0)/6.0 : 2.0/3.0, far = (1.0 - near)/(DIM - 1);
  double x[VERTICES*DIM], g[VERTICES*DIM], growth = 0.0;
  vector const zero = {0.0};
  vector own[NODES], value[NODES], flow[NODES], low, high, mean = zero, bottom, top;
  for (int k = 0; k < VERTICES*DIM; k++) x[k] = origin[k] + numbers[3]*w[k];
  double const determinant = cofactors(x, g), sign = determinant < 0.0 ? -1.0 : 1.0;
  for (int k = 0; k < VERTICES*DIM; k++) {
    g[k] *= sign/FACTORIAL;
    growth += w[k]*g[k];
  }
  if (first > 0.0) volumes[0] = volumes[1] = fabs(determinant)/FACTORIAL;
  double const after = keep*volumes[0] + (1.0 - keep)*(volumes[1] + step*growth), over_after = 1.0/after;
  double const before = keep*volumes[0]*over_after, now = (1.0 - keep)*volumes[1]*over_after;
  double const rate = (1.0 - keep)*step*over_after;
  volumes[1] = after;

  for (int i = 0; i < NODES; i++) {
    own[i] = load(around + PARTS*i);
    flow[i] = zero;
  }
  for (int i = 0; i < VERTICES; i++) {
    double speed[DIM];
    vector inside[ON], outside[ON];
    swept(i, sign, x, w, speed);
    for (int v = 0; v < ON; v++) {
      inside[v] = own[NODES == 1 ? 0 : v + (v >= i)];
      outside[v] = load(around + PARTS*(NODES + ON*i + v));
    }
    for (int q = 0; q < DIM; q++) {
      double through = 0.0;
      vector at = zero;
      for (int v = 0; v < DIM; v++) through += (v == q ? near : far)*speed[v];
      mask const enters = (mask){0} - (through > 0.0);
      for (int v = 0; v < ON; v++)
        at += (ON == 1 ? 1.0 : v == q ? near : far)*choose(enters, outside[v], inside[v]);
      for (int v = 0; v < ON; v++)
        flow[NODES == 1 ? 0 : v + (v >= i)] += (through*(ON == 1 ? 1.0 : v == q ? near : far))*at;
    }
  }
  if (NODES > 1) {
    vector sum = zero, common = zero;
    for (int i = 0; i < NODES; i++) sum += own[i];
    for (int a = 0; a < DIM; a++) {
      vector product = zero;
      for (int i = 0; i < NODES; i++) product += (sum + own[i])*w[DIM*i+a];
      for (int i = 0; i < NODES; i++) flow[i] -= product*(g[DIM*i+a]/(NODES*(NODES + 1)));
    }
    for (int i = 0; i < NODES; i++) common += flow[i]/(NODES + 1);
    for (int i = 0; i < NODES; i++) flow[i] = NODES*(NODES + 1)*(flow[i] - common);
  }
  for (int i = 0; i < NODES; i++) value[i] = now*own[i] + rate*flow[i];

  low = load(bounds);
  high = load(bounds + PARTS);
  for (int v = 1; v < VERTICES; v++) {
    low = least(low, load(bounds + 2*PARTS*v));
    high = least(high, load(bounds + 2*PARTS*v + PARTS));
  }
#if LAST
  for (int i = 0; i < NODES; i++) value[i] += before*load(start + PARTS*i);
  for (int v = 0; v < VERTICES; v++) {
    low = least(low, load(start_bounds + 2*PARTS*v));
    high = least(high, load(start_bounds + 2*PARTS*v + PARTS));
  }
#endif
  high = -high;
  bottom = top = value[0];
  for (int i = 0; i < NODES; i++) {
    mean += value[i]/NODES;
    bottom = least(bottom, value[i]);
    top = most(top, value[i]);
  }
  vector const out = most(most(low - mean, mean - high), zero), size = most(most(low, -low), most(high, -high));
  vector const more = most(out - beyond[0]*size, zero);
  double any = 0.0;
  for (int c = 0; c < WIDTH; c++) any += more[c];
  for (int c = 0; any > 0.0 && c < PARTS; c++)
    if (out[c] > beyond[0]*size[c]) beyond[0] = out[c]/size[c];
  // Where nothing is beyond the bounds, nothing is done, not even rounded.
  mask const under = bottom < low, over = top > high;
  vector const one = zero + 1.0, tiny = zero + 1e-300;
  vector factor = choose(under, least(one, most(mean - low, zero)/most(mean - bottom, tiny)), one);
  factor = least(factor, choose(over, most(high - mean, zero)/most(top - mean, tiny), one));
  mask const drawn = factor < one;
  for (int i = 0; i < NODES; i++) {
    value[i] = choose(drawn, mean + factor*(value[i] - mean), value[i]);
    store(u + PARTS*i, value[i]);
  }
  bottom = choose(drawn, mean + factor*(bottom - mean), bottom);
  top = choose(drawn, mean + factor*(top - mean), top);
  for (int v = 0; v < VERTICES; v++) {
    store(next + 2*PARTS*v, bottom);
    store(next + 2*PARTS*v + PARTS, -top);
  }
}
"""

_SPREAD = """
static void spread(double const *u, double *bounds) {
  for (int c = 0; c < PARTS; c++) {
    double least = u[c], most = u[c];
    for (int i = 1; i < NODES; i++) {
      least = fmin(least, u[PARTS*i+c]);
      most = fmax(most, u[PARTS*i+c]);
    }
    for (int v = 0; v < VERTICES; v++) {
      bounds[2*PARTS*v+c] = least;
      bounds[2*PARTS*v+PARTS+c] = -most;
    }
  }
}
"""


def kernel(name: str, *, nodes: int, parts: int, vertices: int) -> op2.Kernel:
    """Return the kernel ``reach``, ``spread``, ``stage`` or ``last``.

    Parameters
    ----------
    name
        ``reach``: how many Euler steps the motion takes, for cell means to stay within bounds; ``spread``: the least
        and greatest value of a cell as its vertices' bounds; ``stage``: a Runge-Kutta stage of values and volumes on
        the moving cell, nodal values then drawn back within their vertices' bounds, and spread; ``last``: the same for
        a stage that is a mean with the start of the step, which takes values and bounds of that too.
    nodes
        Nodes of a cell, 1 or the number of vertices.
    parts
        Values a node, up to 16.
    vertices
        Vertices of a cell.
    """
    code = {"reach": _COFACTORS + _REACH, "spread": _SPREAD}.get(name, _VECTORS + _COFACTORS + _SWEPT + _STAGE)
    sizes = _COMMON % {"nodes": nodes, "parts": parts, "vertices": vertices, "last": int(name == "last")}
    return op2.Kernel(sizes + code, "stage" if name == "last" else name)
