"""A preconditioner for the pressure of incompressible flows: convection and diffusion of pressures."""

from __future__ import annotations

from firedrake import Constant, DirichletBC, TestFunction, TrialFunction, dot, dx, grad, inner, split
from firedrake.assemble import assemble, get_assembler
from firedrake.petsc import PETSc
from firedrake.preconditioners.base import PCBase


class PressureConvectionDiffusion(PCBase):
    r"""Approximate the inverse of the Schur complement of continuous pressures, steady or in a time step.

    .. math:: S^{-1} = -(B A^{-1} B^T)^{-1} \approx -(\nu I + K^{-1} F) M^{-1},\qquad
              F = \sigma M + ((u - w)\cdot\nabla)

    M and K are mass and Laplace's matrix of the pressures, sigma the factor of u in the derivative in time [1/s]; what
    K^-1 gives is 0 at the outflow. For slow flow that is :math:`-\nu M^{-1} - \sigma K^{-1}` (Cahouet and Chabard).
    M and K are made anew with each matrix of the flow, as the mesh may have been moved.

    Options have the prefixes ``convection_diffusion_mass_`` and ``convection_diffusion_laplacian_``; the rest is told
    by ``NavierStokes.context``.

    References
    ----------
    D. Kay, D. Loghin, A. Wathen (2002), SIAM J. Sci. Comput. 24, 237. J. Cahouet, J.-P. Chabard (1988), Int. J. Numer.
    Methods Fluids 8, 869.
    """

    needs_python_pmat = True

    def initialize(self, pc) -> None:
        """Prepare forms, matrices and solvers."""
        context = pc.getOperators()[1].getPythonContext()
        known = context.appctx["navier_stokes"]
        space = context.a.arguments()[0].function_space().collapse()
        p, q = TrialFunction(space), TestFunction(space)
        carrier = split(context.appctx["state"])[0]
        if known["mesh_velocity"] is not None:
            carrier -= known["mesh_velocity"]
        stiffness, mass = inner(grad(p), grad(q)) * dx, p * q * dx
        # Without an outflow constants are in the null space, which the shift takes it out of.
        shifted = stiffness if known["outflow"] else stiffness + Constant(1e-6) * mass
        transport = known["reaction"] * mass + dot(carrier, grad(p)) * q * dx
        self._viscosity = known["viscosity"]
        at_outflow = [DirichletBC(space, 0.0, marker) for marker in known["outflow"]]
        self._outflow = at_outflow
        self._assemblers, self._matrices, self._solvers = [], [], []
        for form, conditions in ((mass, None), (shifted, at_outflow), (transport, None)):
            assembler = get_assembler(form, bcs=conditions)
            self._assemblers.append(assembler)
            self._matrices.append(assemble(form, bcs=conditions))
        prefix = (pc.getOptionsPrefix() or "") + "convection_diffusion_"
        for name, matrix in zip(("mass_", "laplacian_"), self._matrices, strict=False):
            solver = PETSc.KSP().create(comm=pc.comm)
            solver.incrementTabLevel(1, parent=pc)
            solver.setOptionsPrefix(prefix + name)
            solver.setOperators(matrix.petscmat)
            solver.setFromOptions()
            self._solvers.append(solver)
        self._work = [self._matrices[0].petscmat.createVecLeft() for _ in range(2)]
        self._rows = self._outflow_rows(space)

    def _outflow_rows(self, space) -> PETSc.IS:
        """Return the global rows of the pressures at the outflow of this rank."""
        owned = space.dof_dset.size
        low = space.dof_dset.layout_vec.getOwnershipRange()[0]
        rows = sorted({int(node) + low for bc in self._outflow for node in bc.nodes if node < owned})
        return PETSc.IS().createGeneral(rows, comm=space.mesh().comm)

    def update(self, pc) -> None:
        """Assemble anew."""
        for assembler, matrix in zip(self._assemblers, self._matrices, strict=True):
            assembler.assemble(tensor=matrix)
        for solver, matrix in zip(self._solvers, self._matrices, strict=False):
            solver.setOperators(matrix.petscmat)

    def apply(self, pc, x, y) -> None:
        """Apply the approximate inverse."""
        a, b = self._work
        mass, laplacian = self._solvers
        mass.solve(x, a)
        self._matrices[2].petscmat.mult(a, b)
        b.isset(self._rows, 0.0)
        laplacian.solve(b, y)
        y.axpy(float(self._viscosity), a)
        y.scale(-1.0)

    def applyTranspose(self, pc, x, y) -> None:
        """Not needed by the solvers here."""
        raise NotImplementedError("PressureConvectionDiffusion: the transpose is not implemented; solve by lu")

    def destroy(self, pc) -> None:
        """Free what PETSc holds."""
        for thing in (*getattr(self, "_solvers", ()), *getattr(self, "_work", ())):
            thing.destroy()
