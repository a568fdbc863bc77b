"""All cases by name. A new case is one file and one line here."""

from __future__ import annotations

import difflib
from importlib import import_module

from cases.case import Case

# name -> module:class, imported when asked for, so that one case's data do not slow another down
CASES = {
    "monai": "cases.monai:Monai",
    "swirl": "cases.transport.swirl:SwirlCase",
    "rotation": "cases.transport.rotation:RotationCase",
    "burgers": "cases.transport.burgers:BurgersCase",
    "burgers-2d": "cases.transport.burgers_2d:Burgers2dCase",
    "poisson": "cases.elliptic.poisson:PoissonCase",
    "helmholtz": "cases.elliptic.helmholtz:HelmholtzCase",
    "l-shape": "cases.elliptic.l_shape:LShape",
    "taylor-green": "cases.flow.taylor_green:TaylorGreen",
    "cylinder": "cases.flow.cylinder:CylinderCase",
    "lid-cavity": "cases.flow.lid_cavity:LidCavityCase",
    "backward-step": "cases.flow.backward_step:BackwardStepCase",
    "cylinder-wake": "cases.flow.cylinder_wake:CylinderWake",
    "darcy": "cases.elliptic.darcy:DarcyCase",
    "anisotropic-diffusion": "cases.elliptic.anisotropic_diffusion:AnisotropicDiffusion",
    "convection-diffusion": "cases.elliptic.convection_diffusion:ConvectionDiffusionCase",
    "plate-with-hole": "cases.solids.plate_with_hole:PlateCase",
    "cook-membrane": "cases.solids.cook_membrane:CookCase",
    "hyperelastic-beam": "cases.solids.hyperelastic_beam:BeamCase",
    "heated-cavity": "cases.flow.heated_cavity:CavityCase",
    "operator-poisson": "cases.operators.poisson:OperatorPoisson",
    "operator-stokes": "cases.operators.stokes:OperatorStokes",
    "operator-elasticity": "cases.operators.elasticity:OperatorElasticity",
}


def get_case(name: str) -> Case:
    """Return the case of this name.

    Raises
    ------
    ValueError
        If there is none.
    """
    if name not in CASES:
        close = difflib.get_close_matches(name, CASES, n=1)
        hint = f"did you mean {close[0]!r}?" if close else "`driftmesh cases` lists them"
        raise ValueError(f"case: got {name!r}, expected one of {', '.join(CASES)}; {hint}")
    module, cls = CASES[name].split(":")
    return getattr(import_module(module), cls)()
