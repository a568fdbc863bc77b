"""What a mesh mover needs of a mesh and what does not change when vertices move: computed once per topology."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from learned.boundary import Boundary, SlidingBoundary
from learned.device import to_device
from learned.energy import MeshEnergy
from learned.geometry import volumes
from learned.graph import MeshGraph
from learned.hierarchy import Hierarchy, build_hierarchy
from learned.topology import Topology

TARGETS = ("integral", "relative")


@dataclass(frozen=True)
class PreparedMesh:
    """Topology, levels, boundary and energy of a mesh.

    Lengths are in units of the domain's size, from its middle: places in single precision then resolve small cells far
    from the origin.

    Attributes
    ----------
    topology
        Vertices and cells.
    hierarchy
        Levels of the multigrid network.
    boundary
        How boundary vertices slide.
    energy
        What is minimised.
    reference
        Vertices of the computational mesh, shape (d, N).
    origin, scale
        Middle, shape (d,), and size of the domain [m].
    bound, fixed
        1 for vertices on the boundary, and for those that do not move, 0 else, shape (N,).
    log_weights
        Logarithm of the weights of the cells around each vertex over their mean, shape (N,).
    """

    topology: Topology
    hierarchy: Hierarchy
    boundary: Boundary
    energy: MeshEnergy
    reference: Tensor
    origin: Tensor
    scale: float
    bound: Tensor
    fixed: Tensor
    log_weights: Tensor

    def with_weights(self, weights: Tensor) -> PreparedMesh:
        """Return the mesh with other weights of its cells in the energy, shape (K,), positive."""
        weights = weights / weights.mean()
        energy = MeshEnergy(
            self.topology,
            self.reference,
            weights,
            theta=self.energy.theta,
            power=self.energy.power,
            huang=self.energy.huang,
        )
        return replace(self, energy=energy, log_weights=self.topology.cell_means(weights.log()))

    def with_shape(self, shape: float) -> PreparedMesh:
        """Return the mesh with another weight of the cells' shape in the energy, see ``MeshEnergy.with_shape``."""
        return replace(self, energy=self.energy.with_shape(shape))

    def to(self, device: torch.device | str) -> PreparedMesh:
        """Return the mesh on another device; a boundary that is not of ``learned`` stays where it is."""
        return to_device(self, device)

    def inside(self, points: Tensor) -> Tensor:
        """Return places, shape (N, d) [m], in units of the domain, shape (d, N)."""
        return ((points - self.origin) / self.scale).T.to(self.reference.dtype).contiguous()

    def outside(self, points: Tensor) -> Tensor:
        """Return places in units of the domain, shape (d, N), as they are, shape (N, d) [m]."""
        return points.T.to(self.origin.dtype) * self.scale + self.origin


def prepare_mesh(
    graph: MeshGraph, *, target: str = "integral", boundary: Boundary | None = None, dtype: torch.dtype = torch.float32
) -> PreparedMesh:
    """Return what is needed of a mesh.

    Parameters
    ----------
    graph
        The computational mesh, whole; cells of positive volume.
    target
        What to equidistribute: ``"integral"``, m V, or ``"relative"``, m V over the volume of the computational cell.
    boundary
        How boundary vertices slide, in units of the domain; as the facets of the graph have it if None.
    dtype
        Floating-point type of the computation.

    Returns
    -------
    PreparedMesh

    Raises
    ------
    ValueError
        For another target, and for cells without volume or of negative volume.
    """
    origin, scale = frame(graph)
    mesh = prepare_meshes([graph], [target], boundary=boundary, dtype=dtype)
    return replace(mesh, origin=origin, scale=scale)


def prepare_meshes(
    graphs: Sequence[MeshGraph],
    targets: Sequence[str],
    *,
    boundary: Boundary | None = None,
    dtype: torch.dtype = torch.float32,
    own_units: bool = True,
) -> PreparedMesh:
    """Return what is needed of several meshes side by side, each in units of its own size.

    Parameters
    ----------
    graphs
        Computational meshes of one dimension, whole; cells of positive volume.
    targets
        What to equidistribute on each, see ``prepare_mesh``.
    boundary, dtype
        As for ``prepare_mesh``.
    own_units
        Whether to bring each to unit size; else coordinates are taken as they are.

    Returns
    -------
    PreparedMesh
        Origin zero, scale 1; on the device of the graphs, though made on the CPU.

    Raises
    ------
    ValueError
        As ``prepare_mesh``.
    """
    device = graphs[0].pos.device
    if device.type != "cpu":
        graphs = [graph.to(device="cpu") for graph in graphs]
        mesh = prepare_meshes(graphs, targets, boundary=boundary, dtype=dtype, own_units=own_units)
        return mesh.to(device)
    places, cells, facets, markers, weights = [], [], [], [], []
    before = 0
    for graph, target in zip(graphs, targets, strict=True):
        if target not in TARGETS:
            raise ValueError(f"target: got {target!r}, expected one of {', '.join(TARGETS)}")
        origin, scale = frame(graph) if own_units else (torch.zeros_like(graph.pos[0]), 1.0)
        place = ((graph.pos - origin) / scale).T
        volume = volumes(place[:, graph.cells.T])
        bad = int((volume <= 0).sum())
        if bad:
            raise ValueError(f"cells: got {bad} without positive volume, expected none; turn or mend them first")
        places.append(place)
        cells.append(graph.cells + before)
        facets.append(graph.facets + before)
        markers.append(graph.facet_markers)
        weights.append(volume / volume.mean() if target == "relative" else torch.ones_like(volume))
        before += len(graph.pos)
    sizes = torch.tensor([len(graph.pos) for graph in graphs], device=device)
    topology = Topology(torch.cat(cells), before, dtype=dtype, sizes=sizes)
    exact, weight = torch.cat(places, dim=1), torch.cat(weights).to(dtype)
    slides = (
        SlidingBoundary(exact, torch.cat(facets), torch.cat(markers), dtype=dtype) if boundary is None else boundary
    )
    bound = torch.zeros(before, dtype=dtype, device=device)
    fixed = torch.zeros_like(bound)
    bound[slides.vertices] = 1.0
    fixed[slides.vertices] = slides.fixed.to(dtype)
    reference = exact.to(dtype).contiguous()
    return PreparedMesh(
        topology=topology,
        hierarchy=build_hierarchy(topology.edges, before, meshes=len(graphs), dtype=dtype),
        boundary=slides,
        energy=MeshEnergy(topology, reference, weight),
        reference=reference,
        origin=torch.zeros(len(exact), dtype=exact.dtype, device=device),
        scale=1.0,
        bound=bound,
        fixed=fixed,
        log_weights=topology.cell_means(weight.log()),
    )


def frame(graph: MeshGraph) -> tuple[Tensor, float]:
    """Return middle, shape (d,), and size of a domain [m]: the units of ``prepare_mesh``."""
    low, high = graph.pos.amin(0), graph.pos.amax(0)
    return 0.5 * (low + high), float((high - low).max())
