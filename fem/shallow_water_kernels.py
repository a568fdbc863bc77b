"""Cell-local operations of the shallow-water stepper, as C kernels for PyOP2.

Two passes over the cells follow each evaluation of the residual:

``advance``
    one Runge-Kutta stage with the inverse mass matrix in closed form, then cell means into vertex bounds;
``limit``
    vertex-based slope limiting of surface and discharge, positivity about the cell mean, films, the bed at
    the shore, and the time step the new state allows.

On a moving mesh ``carry`` takes the place of ``advance``; ``spread`` puts the means into bounds anew after they have
been changed, and ``pace`` bounds the time step.

Limiting changes nodal values about the cell mean only, so that no pass adds or removes mass. A node's three values
(h, hu, hv) lie side by side; P1 nodes are the vertices, in the order of the coordinates.
"""

from __future__ import annotations

from pyop2 import op2

# Bounds of an empty set of means, before any cell has contributed [m and m^2/s].
NO_BOUND = 1e300
# A cell mean below minus this [m] is a real overdraft, not round-off: the step is taken back and halved.
OVERDRAFT = 1e-14

_COMMON = """
#include <math.h>
#define G %(gravity).17g
#define DRY %(dry_depth).17g
#define NO_BOUND %(no_bound).17g
#define SLACK 0.01 /* overshoot that the slope limiter lets pass, over depth and over depth times wave speed */
#define SHALLOW 0.5 /* least depth over mean depth in a cell, below which its velocity turns constant */

static inline double twice_area(double const *x) {
  return fabs((x[2]-x[0])*(x[5]-x[1]) - (x[4]-x[0])*(x[3]-x[1]));
}
/* smallest altitude: twice the area over the longest edge */
static inline double width(double const *x) {
  double longest = 0.0;
  for (int i = 0; i < 3; i++) {
    int j = (i+1) %% 3;
    double dx = x[2*j]-x[2*i], dy = x[2*j+1]-x[2*i+1], l = dx*dx + dy*dy;
    longest = l > longest ? l : longest;
  }
  return twice_area(x) / sqrt(longest);
}
/* speed of the fastest wave of a node; velocity desingularised as in fem.riemann */
static inline double speed(double const *u) {
  double h = u[0] > 0.0 ? u[0] : 0.0, wet = h > DRY ? h : DRY;
  double f = 2.0*h/(h*h + wet*wet);
  return f*sqrt(u[1]*u[1] + u[2]*u[2]) + sqrt(G*h);
}
"""

# A cell that its water cannot cover with a level surface is at the shore. It takes that level surface: the depths
# are max(0, level - b_i), a function of the cell's mean depth alone with bounded slope, and dry nodes get the level
# as their bed. Still water then has h + b constant in every cell, and round-off is not amplified by nodes that
# switch between wet and dry. From the water that just covers the cell to FREE times as much, its own P1 surface fades
# in; the mean is the same on both sides.
_SHORE = """
#define FREE 1.5
/* level of the surface when 3 mean = sum of max(0, level - b_i) */
static inline double still_level(double mean, double const *bed) {
  double a = bed[0], b = bed[1], c = bed[2], t, volume = mean > 0.0 ? 3.0*mean : 0.0, level;
  if (a > b) { t = a; a = b; b = t; }
  if (b > c) { t = b; b = c; c = t; }
  if (a > b) { t = a; a = b; b = t; }
  level = a + volume;
  if (level > b) level = 0.5*(a + b + volume);
  if (level > c) level = (a + b + c + volume)/3.0;
  return level;
}
/* mean depth over the mean depth that just covers the cell; large for a level bed */
static inline double cover(double mean, double const *bed) {
  double top = bed[0] > bed[1] ? bed[0] : bed[1];
  if (bed[2] > top) top = bed[2];
  return mean/(top - (bed[0] + bed[1] + bed[2])/3.0 + 1e-14);
}
"""

# Level and mean discharge of a cell into the bounds of its vertices, for P1.
_BOUNDS = """
#define BOUNDS_ARGUMENTS , double const *bed, double *lower, double *upper
#define INTO_BOUNDS into_bounds(mean, bed, lower, upper);
static inline void into_bounds(double *mean, double const *bed, double *lower, double *upper) {
  mean[0] = still_level(mean[0], bed);
  for (int i = 0; i < 3; i++)
    for (int c = 0; c < 3; c++) {
      if (mean[c] < lower[3*i+c]) lower[3*i+c] = mean[c];
      if (mean[c] > upper[3*i+c]) upper[3*i+c] = mean[c];
    }
}
"""

_ADVANCE_P1 = """
static void advance(double *u, double const *start, double const *r, double const *x, double const *bed,
                    double const *stage, double *lower, double *upper, double *least) {
  double const keep = stage[0], scale = stage[1]*24.0/twice_area(x);
  double mean[3];
  for (int c = 0; c < 3; c++) {
    double common = 0.25*(r[c] + r[3+c] + r[6+c]);
    mean[c] = 0.0;
    for (int i = 0; i < 3; i++) {
      double value = u[3*i+c] + scale*(r[3*i+c] - common);
      u[3*i+c] = keep*start[3*i+c] + (1.0 - keep)*value;
      mean[c] += u[3*i+c];
    }
    mean[c] /= 3.0;
  }
  if (mean[0] < least[0]) least[0] = mean[0];
  into_bounds(mean, bed, lower, upper);
}
"""

_LIMIT_P1 = """
static void limit(double *u, double const *x, double const *bed, double const *lower, double const *upper,
                  double *shore, double *step) {
  double mean[3], least, fastest = 0.0;
  for (int c = 0; c < 3; c++) mean[c] = (u[c] + u[3+c] + u[6+c])/3.0;
  double const level = still_level(mean[0], bed), covered = cover(mean[0], bed);
  /* Slopes of surface and discharge: no vertex value beyond the means around the vertex (Kuzmin 2010), but for a
     hundredth of the depth. On fine meshes the overshoot at a smooth extremum is less, so that the order is kept. */
  for (int c = 0; c < 3; c++) {
    double about = c == 0 ? level : mean[c], factor = 1.0;
    double const slack = SLACK*mean[0]*(c == 0 ? 1.0 : sqrt(G*mean[0]));
    if (c == 0 && covered <= 1.0) continue;
    for (int i = 0; i < 3; i++) {
      double d = u[3*i+c] + (c == 0 ? bed[i] : 0.0) - about, room;
      if (d > 0.0) room = upper[3*i+c] - about + slack;
      else { d = -d; room = about - lower[3*i+c] + slack; }
      if (room < factor*d) factor = room/d;
    }
    if (factor < 1.0)
      for (int i = 0; i < 3; i++) {
        double shift = c == 0 ? bed[i] : 0.0;
        u[3*i+c] = about + factor*(u[3*i+c] + shift - about) - shift;
      }
  }
  /* the shore */
  if (covered < FREE) {
    double free = covered > 1.0 ? (covered - 1.0)/(FREE - 1.0) : 0.0;
    for (int i = 0; i < 3; i++) {
      double still = level > bed[i] ? level - bed[i] : 0.0;
      u[3*i] = still + free*(u[3*i] - still);
    }
  }
  /* positivity about the mean: Zhang and Shu (2010) */
  least = u[0] < u[3] ? u[0] : u[3];
  if (u[6] < least) least = u[6];
  if (least < 0.0) {
    double factor = mean[0] > 0.0 ? mean[0]/(mean[0] - least) : 0.0;
    for (int i = 0; i < 3; i++) {
      u[3*i] = mean[0] + factor*(u[3*i] - mean[0]);
      if (u[3*i] < 0.0) u[3*i] = 0.0;
    }
    least = 0.0;
  }
  /* Where the depth nearly vanishes in part of a cell, discharge over depth has no bound: there the cell takes its
     mean velocity, q_i = h_i q_mean/h_mean, which keeps the mean discharge. */
  if (least < SHALLOW*mean[0]) {
    double share = 2.0*(1.0 - least/(SHALLOW*mean[0]));
    if (share > 1.0) share = 1.0;
    for (int c = 1; c < 3; c++)
      for (int i = 0; i < 3; i++) u[3*i+c] += share*(u[3*i]*mean[c]/mean[0] - u[3*i+c]);
  }
  for (int i = 0; i < 3; i++) {
    if (u[3*i] < DRY) { /* a film keeps the momentum of its damped velocity only */
      double f = 2.0*u[3*i]*u[3*i]/(u[3*i]*u[3*i] + DRY*DRY);
      u[3*i+1] *= f; u[3*i+2] *= f;
    }
    double s = speed(u + 3*i);
    if (s > fastest) fastest = s;
    shore[i] = bed[i] < level ? bed[i] : level;
  }
  double allowed = width(x)/(fastest + 1e-14);
  if (allowed < step[0]) step[0] = allowed;
}
"""

_ADVANCE_P0 = """
static void advance(double *u, double const *start, double const *r, double const *x, double const *stage,
                    double *least) {
  double const keep = stage[0], scale = stage[1]*2.0/twice_area(x);
  for (int c = 0; c < 3; c++) u[c] = keep*start[c] + (1.0 - keep)*(u[c] + scale*r[c]);
  if (u[0] < least[0]) least[0] = u[0];
}
"""

_LIMIT_P0 = """
static void limit(double *u, double const *x, double *step) {
  if (u[0] < 0.0) u[0] = 0.0;
  if (u[0] < DRY) {
    double f = 2.0*u[0]*u[0]/(u[0]*u[0] + DRY*DRY);
    u[1] *= f; u[2] *= f;
  }
  double allowed = width(x)/(speed(u) + 1e-14);
  if (allowed < step[0]) step[0] = allowed;
}
"""

# A stage on the moving mesh: V' u' = a V_0 u_0 + (1 - a) (V u + step f) with V' = a V_0 + (1 - a) (V + step growth),
# solved for the small u' - u, holds for the discharge and for the depth over still water: still water, the transport of
# which f leaves out, is what it is over the bed as it is. The first of least is the least mean depth; the second what
# it would be if still water were carried along: less than 0 is an overdraft. Only in P1 does a cell alone tell, and in
# P0 a step that is stable in P1 overdraws no cell.
# volumes: V_0, V, V' and the growth, see fem.ale. still: of the bed at the start, now, and after the stage.
_CARRY = """
static void carry(double *u, double const *start, double const *r, double const *x, double const *w,
                  double const *volumes, double const *still_start, double const *still, double const *still_after,
                  double const *stage, double *least BOUNDS_ARGUMENTS) {
  double const back = stage[0]*volumes[0]/volumes[2], on = (1.0 - stage[0])*stage[1]/volumes[2], growth = volumes[3];
  double const weight = NODES > 1 ? NODES*(NODES+1) : 1.0;
  double mean[3] = {0.0, 0.0, 0.0}, common[3] = {0.0, 0.0, 0.0}, filled = 0.0, flow = 0.0;
  for (int i = 0; NODES > 1 && i < NODES; i++)
    for (int c = 0; c < 3; c++) common[c] += r[3*i+c]/(NODES+1);
  /* what the mesh gathers of still water, the integral of div(s w), less growth times its mean */
  if (NODES > 1) {
    double const side = (x[2]-x[0])*(x[5]-x[1]) > (x[4]-x[0])*(x[3]-x[1]) ? 1.0/6.0 : -1.0/6.0;
    for (int i = 0; i < 3; i++) {
      int const j = (i+1)%3, k = (i+2)%3;
      flow += side*still[i]*((x[2*j+1]-x[2*k+1])*(w[0]+w[2]+w[4]) + (x[2*k]-x[2*j])*(w[1]+w[3]+w[5]));
    }
  }
  for (int i = 0; i < NODES; i++) {
    double over = u[3*i] - still[i];
    over += back*(start[3*i] - still_start[i] - over) + on*(weight*(r[3*i] - common[0]) - growth*over);
    u[3*i] = still_after[i] + over;
    for (int c = 1; c < 3; c++)
      u[3*i+c] += back*(start[3*i+c] - u[3*i+c]) + on*(weight*(r[3*i+c] - common[c]) - growth*u[3*i+c]);
    for (int c = 0; c < 3; c++) mean[c] += u[3*i+c]/NODES;
    filled += (still_after[i] - still[i] - back*(still_start[i] - still[i]))/NODES;
  }
  if (mean[0] < least[0]) least[0] = mean[0];
  if (NODES > 1 && mean[0] - filled + on*flow < least[1]) least[1] = mean[0] - filled + on*flow;
  INTO_BOUNDS
}
"""

_SPREAD = """
static void spread(double const *u, double const *bed, double *lower, double *upper) {
  double mean[3];
  for (int c = 0; c < 3; c++) mean[c] = (u[c] + u[3+c] + u[6+c])/3.0;
  into_bounds(mean, bed, lower, upper);
}
"""

# The longest step for which waves and reach of the cell stay below a bound, at either end; bound: that and the share of
# the way to the target.
_PACE = """
static void pace(double const *u, double const *x, double const *way, double const *reach, double const *bound,
                 double *longest) {
  double end[6], fastest = 0.0;
  for (int k = 0; k < 6; k++) end[k] = x[k] + bound[1]*way[k];
  for (int i = 0; i < NODES; i++) {
    double s = speed(u + 3*i);
    if (s > fastest) fastest = s;
  }
  double const before = (bound[0] - bound[1]*reach[0])*width(x), after = (bound[0] - bound[1]*reach[1])*width(end);
  double const allowed = (before < after ? before : after)/(fastest + 1e-14);
  if (allowed < longest[0]) longest[0] = allowed;
}
"""

# q' = -g n^2 |q| q / h^(7/3) at constant depth has the solution q / (1 + t g n^2 |q| / h^(7/3)).
_FRICTION = """
static void friction(double *u, double const *manning, double const *stage) {
  for (int i = 0; i < NODES; i++) {
    double h = u[3*i] > DRY ? u[3*i] : DRY, q = sqrt(u[3*i+1]*u[3*i+1] + u[3*i+2]*u[3*i+2]);
    double f = 1.0/(1.0 + stage[0]*G*manning[i]*manning[i]*q/(h*h*cbrt(h)));
    u[3*i+1] *= f; u[3*i+2] *= f;
  }
}
"""


# A dry node's maximum is its bed; a film does not count.
_RAISE = """
static void raise(double *highest, double const *u, double const *bed) {
  for (int i = 0; i < NODES; i++) {
    double level = u[3*i] > DRY ? u[3*i] + bed[i] : bed[i];
    if (level > highest[i]) highest[i] = level;
  }
}
"""


def kernel(name: str, *, degree: int, gravity: float, dry_depth: float) -> op2.Kernel:
    """Return the kernel of a name for polynomial degree 0 or 1.

    Parameters
    ----------
    name
        ``advance``, ``limit``, ``friction``, ``raise``, which keeps the highest surface so far, ``carry``, ``pace``, or
        for degree 1 ``spread``.
    degree
        Polynomial degree of the state.
    gravity
        g [m/s^2].
    dry_depth
        Depth below which a film counts as dry [m].
    """
    common = _COMMON % {"gravity": gravity, "dry_depth": dry_depth, "no_bound": NO_BOUND}
    bodies = {
        ("advance", 0): _ADVANCE_P0,
        ("advance", 1): _SHORE + _BOUNDS + _ADVANCE_P1,
        ("limit", 0): _LIMIT_P0,
        ("limit", 1): _SHORE + _LIMIT_P1,
        **dict.fromkeys((("friction", 0), ("friction", 1)), _FRICTION),
        **dict.fromkeys((("raise", 0), ("raise", 1)), _RAISE),
        ("carry", 0): "#define BOUNDS_ARGUMENTS\n#define INTO_BOUNDS\n" + _CARRY,
        ("carry", 1): _SHORE + _BOUNDS + _CARRY,
        ("spread", 1): _SHORE + _BOUNDS + _SPREAD,
        **dict.fromkeys((("pace", 0), ("pace", 1)), _PACE),
    }
    return op2.Kernel(common + f"#define NODES {1 if degree == 0 else 3}\n" + bodies[name, degree], name)
