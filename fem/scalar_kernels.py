"""Cell-local operations of the scalar stepper, as C kernels for PyOP2.

``advance``
    one Runge-Kutta stage with the inverse mass matrix in closed form, and the range of the values before it into
    bounds at the vertices;
``limit``
    scaling about the cell mean into the bounds, which changes no mean;
``fastest``
    the greatest rate of a cell, by which the time step is bounded;
``carry``, ``pace``
    on a moving mesh in place of ``advance`` and ``fastest``.

P0 and P1 in 2D and 3D; P1 nodes are the vertices, in the order of the coordinates.
"""

from __future__ import annotations

from pyop2 import op2

# Bounds of an empty set of values.
NO_BOUND = 1e300

_COMMON = """
#include <math.h>
#define NODES %(nodes)d
#define VERTICES %(vertices)d
static inline double volume(double const *x) {
#if VERTICES == 3
  return 0.5*fabs((x[2]-x[0])*(x[5]-x[1]) - (x[4]-x[0])*(x[3]-x[1]));
#else
  double e[9];
  for (int i = 0; i < 9; i++) e[i] = x[3+i] - x[i%%3];
  return fabs(e[0]*(e[4]*e[8] - e[5]*e[7]) - e[1]*(e[3]*e[8] - e[5]*e[6]) + e[2]*(e[3]*e[7] - e[4]*e[6]))/6.0;
#endif
}
/* the range of the values that a stage is made of, into the bounds of the vertices */
static inline void spread(double const *u, double const *start, double *lower, double *upper) {
  double least = u[0], greatest = u[0];
  for (int i = 0; i < NODES; i++) {
    if (u[i] < least) least = u[i];
    if (u[i] > greatest) greatest = u[i];
    if (start[i] < least) least = start[i];
    if (start[i] > greatest) greatest = start[i];
  }
  for (int i = 0; i < VERTICES; i++) {
    if (least < lower[i]) lower[i] = least;
    if (greatest > upper[i]) upper[i] = greatest;
  }
}
"""

# The mass matrix of P1 is |K|/(V (V+1)) (I + 1 1^T) for V vertices; its inverse V (V+1)/|K| (I - 1 1^T/(V+1)).
_ADVANCE = """
static void advance(double *u, double const *start, double const *r, double const *x, double const *stage,
                    double *lower, double *upper) {
  double const keep = stage[0];
  double common = 0.0;
  double const scale = NODES > 1 ? stage[1]*NODES*(NODES+1)/volume(x) : stage[1]/volume(x);
  spread(u, start, lower, upper);
  for (int i = 0; i < NODES; i++)
    if (NODES > 1) common += r[i]/(NODES+1);
  for (int i = 0; i < NODES; i++) {
    double value = u[i] + scale*(r[i] - common);
    u[i] = value + keep*(start[i] - value); /* rounds a small difference: keep + (1 - keep) is not 1, step after step */
  }
}
"""

# V' u' = a V_0 u_0 + (1 - a) (V u + step f), with V' = a V_0 + (1 - a) (V + step growth), solved for the small u' - u.
# volumes: V_0, V, V' and the growth, see fem.ale.
_CARRY = """
static void carry(double *u, double const *start, double const *r, double const *volumes, double const *stage,
                  double *lower, double *upper) {
  double const back = stage[0]*volumes[0]/volumes[2], on = (1.0 - stage[0])*stage[1]/volumes[2];
  double common = 0.0;
  spread(u, start, lower, upper);
  for (int i = 0; i < NODES; i++)
    if (NODES > 1) common += r[i]/(NODES+1);
  for (int i = 0; i < NODES; i++) {
    double const f = NODES > 1 ? NODES*(NODES+1)*(r[i] - common) : r[i];
    u[i] += back*(start[i] - u[i]) + on*(f - volumes[3]*u[i]);
  }
}
"""

# The bounds of a cell are those of all cells that touch it: so wide that its mean must lie within them when the time
# step is small enough, and a smooth maximum that travels through the cell does, too, to the order of the method.
_LIMIT = """
static void limit(double *u, double const *lower, double const *upper, double *excess) {
  double least = lower[0], greatest = upper[0], mean = 0.0, factor = 1.0, beyond;
  for (int i = 1; i < VERTICES; i++) {
    if (lower[i] < least) least = lower[i];
    if (upper[i] > greatest) greatest = upper[i];
  }
  for (int i = 0; i < NODES; i++) mean += u[i]/NODES;
  beyond = mean > greatest ? mean - greatest : least - mean;
  if (beyond > 0.0) { /* relative to the values the mean was made of */
    double size = fabs(least) > fabs(greatest) ? fabs(least) : fabs(greatest);
    beyond /= size + 1e-290;
    if (beyond > excess[0]) excess[0] = beyond;
  }
  for (int i = 0; i < NODES; i++) {
    double d = u[i] - mean, room = greatest - mean;
    if (d < 0.0) { d = -d; room = mean - least; }
    if (room < 0.0) room = 0.0;
    if (room < factor*d) factor = room/d;
  }
  if (factor < 1.0)
    for (int i = 0; i < NODES; i++) u[i] = mean + factor*(u[i] - mean);
}
"""

_FASTEST = """
static void fastest(double const *rate, double const *x, double *greatest) {
  double here = rate[0]/volume(x);
  if (here > greatest[0]) greatest[0] = here;
}
"""

# The longest step for which rate and reach of the cell stay below a bound, at either end; bound: that and the share of
# the way to the target.
_PACE = """
static void pace(double const *rate, double const *x, double const *way, double const *reach, double const *bound,
                 double *longest) {
  double end[VERTICES*(VERTICES-1)];
  for (int k = 0; k < VERTICES*(VERTICES-1); k++) end[k] = x[k] + bound[1]*way[k];
  double const before = (bound[0] - bound[1]*reach[0])*volume(x), after = (bound[0] - bound[1]*reach[1])*volume(end);
  double const allowed = before < after ? before : after;
  if (longest[0]*rate[0] > allowed) longest[0] = allowed/rate[0];
}
"""


def kernel(name: str, *, nodes: int, vertices: int) -> op2.Kernel:
    """Return the kernel ``advance``, ``limit``, ``fastest``, ``carry`` or ``pace``.

    Parameters
    ----------
    name
        Which of them.
    nodes
        Nodes of a cell: 1 for P0, as many as vertices for P1.
    vertices
        3 for triangles, 4 for tetrahedra.
    """
    bodies = {"advance": _ADVANCE, "limit": _LIMIT, "fastest": _FASTEST, "carry": _CARRY, "pace": _PACE}
    return op2.Kernel(_COMMON % {"nodes": nodes, "vertices": vertices} + bodies[name], name)
