"""A heat sink in still air: ``driftmesh run docs/examples/heat_sink.py --mover drift``. See docs/tutorial.md."""

from typing import Annotated, ClassVar

import firedrake as fd
import gmsh
from pydantic import Field

from cases.steady_case import SteadyCase, SteadyOptions, density_monitor
from cases.units import Unit
from fem.error_estimate import recovery_estimate
from fem.solver_parameters import NEWTON_LU
from fem.steady import Quantity, SteadySolution
from meshing.gmsh_mesh import Side, gmsh_mesh

WIDTH, BASE, FIN, HEIGHT = 0.05, 0.006, 0.004, 0.02  # m
HEATED, COOLED = 1, 2  # markers of the boundary
AIR, FILM, RADIATION = 293.0, 25.0, 0.9 * 5.67e-8  # K, W/(m^2 K), W/(m^2 K^4)


class HeatSinkOptions(SteadyOptions):
    """Options: those of all steady cases, and what is special here."""

    resolution: Annotated[float, Unit("m")] = Field(0.001, gt=1e-4, le=0.004, description="length of edges [m]")
    power: Annotated[float, Unit("W/m**2")] = Field(2e4, gt=0, le=1e5, description="heat from below [W/m^2]")


class HeatSink(SteadyCase):
    """Conduction -div(k(T) grad T) = 0, k = 20 (1 - 5e-4 (T - 293)) W/(m K), cooled by air and by radiation."""

    name: ClassVar[str] = "heat-sink"
    summary: ClassVar[str] = "heat sink with four fins: nonlinear conduction, air, radiation"
    title: ClassVar[str] = "Heat sink in still air"
    description: ClassVar[str] = (
        "Heat comes in from below and leaves to the air; its flux is greatest at the fins' feet."
    )
    Options: ClassVar[type[HeatSinkOptions]] = HeatSinkOptions
    markers: ClassVar[dict[int, str]] = {HEATED: "heated", COOLED: "cooled"}

    def mesh(self, options: HeatSinkOptions):
        """Return the mesh: a plate and four fins, put together by gmsh."""

        def build() -> dict[int, Side]:
            plate = gmsh.model.occ.addRectangle(0, 0, 0, WIDTH, BASE)
            lefts = [k * (WIDTH - FIN) / 3 for k in range(4)]
            fins = [(2, gmsh.model.occ.addRectangle(x, BASE, 0, FIN, HEIGHT)) for x in lefts]
            gmsh.model.occ.fuse([(2, plate)], fins)
            gmsh.model.occ.synchronize()
            gmsh.model.mesh.setSize(gmsh.model.getEntities(0), options.resolution)
            sides = [tag for _, tag in gmsh.model.getEntities(1)]
            below = [tag for tag in sides if gmsh.model.occ.getCenterOfMass(1, tag)[1] < 1e-9]
            others = [tag for tag in sides if tag not in below]
            return {HEATED: Side("heated", below), COOLED: Side("cooled", others)}

        return gmsh_mesh("heat_sink", 2, build, fd.COMM_WORLD)

    def solve(self, options: HeatSinkOptions, mesh, start: fd.Function | None) -> SteadySolution:
        """Solve by Newton's method; ask for cells where the heat flux bends."""
        T = fd.Function(fd.FunctionSpace(mesh, "CG", 1), name="temperature [K]").assign(AIR + 50.0)
        if start is not None:
            T.dat.data_wo[:] = start.dat.data_ro
        v, k = fd.TestFunction(T.function_space()), 20.0 * (1.0 - 5e-4 * (T - 293.0))
        lost = FILM * (T - AIR) + RADIATION * (T**4 - AIR**4)
        inside = k * fd.inner(fd.grad(T), fd.grad(v)) * fd.dx
        across = lost * v * fd.ds(COOLED) - fd.Constant(options.power) * v * fd.ds(HEATED)
        fd.solve(inside + across == 0, T, solver_parameters=NEWTON_LU)
        estimate = recovery_estimate(mesh, fd.grad(T), 1)
        bend, least = fd.grad(estimate.recovered), options.power / (20.0 * WIDTH)  # K/m^2
        wanted = fd.Function(fd.FunctionSpace(mesh, "DG", 0)).interpolate(least + fd.sqrt(fd.inner(bend, bend)))
        hottest = mesh.comm.allreduce(T.dat.data_ro.max(), max)
        balance = fd.assemble(lost * fd.ds(COOLED)) / (options.power * WIDTH)
        quantities = {
            "hottest, above the air": Quantity(hottest - AIR, "K"),
            "estimated error": Quantity(estimate.total, "K"),
            "heat out over heat in": Quantity(balance, published=1.0, source="balance of heat"),
        }
        monitor = density_monitor(wanted, options)
        return SteadySolution(T, T, monitor, estimate.total, quantities=quantities)
