"""What drift is trained on: groups of meshes with monitor functions, drawn here, from a data set, or from a stream."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import count

import numpy as np
import torch
from torch import Tensor

from learned.augment import MappedMonitor, mapped_graph, random_map
from learned.dataset import MONITOR, DatasetSettings, MoverDataset, MoverSample, make_sample, sample_of
from learned.device import to_device
from learned.domains import box_mesh, random_mesh
from learned.graph import MeshGraph
from learned.monitors import FeatureMonitor, MonitorFunction, random_monitor
from learned.prepared import TARGETS, PreparedMesh, frame, prepare_meshes
from learned.stream import stream

# Gives the samples of the groups from a number on, in order.
Source = Callable[[int], Generator[list[MoverSample], None, None]]


@dataclass
class Group:
    """A few meshes side by side, where their vertices were left last, and the monitor functions they were moved for.

    Attributes
    ----------
    mesh
        Prepared together, each in units of its own domain.
    graphs
        The same one by one, in these units.
    targets
        What each equidistributes.
    points
        Vertices, shape (d, N).
    monitors
        One a mesh.
    own
        The monitor functions that came with the meshes; none if any will do.
    """

    mesh: PreparedMesh
    graphs: list[MeshGraph]
    targets: list[str]
    points: Tensor
    monitors: list[FeatureMonitor]
    own: list[FeatureMonitor] = field(default_factory=list)

    @property
    def sizes(self) -> list[int]:
        """Numbers of vertices of the meshes."""
        return [len(graph.pos) for graph in self.graphs]

    def monitor(self, points: Tensor) -> Tensor:
        """Return m in the vertices, shape (N,), at points, shape (d, N)."""
        return side_by_side(self.monitors, self.sizes)(points)

    def redraw(self, rng: np.random.Generator, number: int, *, own: bool) -> None:
        """Give a mesh its own monitor function if it has one and this is wanted, else a random one."""
        start = sum(self.sizes[:number])
        places = self.mesh.reference[:, start : start + self.sizes[number]]
        self.monitors[number] = self.own[number] if own and self.own else vertex_monitor(rng, places)

    def mapped(self, rng: np.random.Generator) -> tuple[PreparedMesh, MonitorFunction]:
        """Return meshes and monitor functions in other, random coordinates, see ``learned.augment``.

        A mesh that is too coarse for its map stays as it is.
        """
        graphs, monitors = list(self.graphs), list[MonitorFunction](self.monitors)
        for number, graph in enumerate(self.graphs):
            map = random_map(rng, graph.pos.shape[1])
            found = mapped_graph(graph, map)
            if found is not None:
                graphs[number], monitors[number] = found, MappedMonitor(self.monitors[number], map)
        mesh = prepare_meshes(graphs, self.targets, own_units=False).to(self.points.device)
        return mesh, side_by_side(monitors, self.sizes)

    def to(self, device: torch.device | str) -> Group:
        """Return the group on another device; the graphs, from which meshes are prepared, stay on the CPU."""
        moved = to_device(self, device)
        moved.graphs = self.graphs
        return moved

    def state(self) -> dict[str, Tensor]:
        """Return where the vertices are and the monitor functions they were moved for, on the CPU."""
        parts = zip(MONITOR, zip(*(monitor.parts for monitor in self.monitors), strict=True), strict=True)
        state = {name: torch.from_numpy(np.concatenate(values)) for name, values in parts}
        counts = torch.tensor([len(monitor.parts[0]) for monitor in self.monitors], device="cpu")
        return state | {"points": self.points.cpu(), "counts": counts}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Be as ``state`` has said."""
        self.points = state["points"].to(self.points.device)
        counts = state["counts"].tolist()
        parts = zip(*(state[name].split(counts) for name in MONITOR), strict=True)
        self.monitors = [FeatureMonitor(*(part.numpy() for part in monitor)) for monitor in parts]


def side_by_side(monitors: Sequence[MonitorFunction], sizes: Sequence[int]) -> MonitorFunction:
    """Return m of meshes side by side of so many vertices: at points, shape (d, N), as shape (N,)."""

    def together(points: Tensor) -> Tensor:
        parts = points.split(list(sizes), dim=1)
        return torch.cat([monitor(part) for monitor, part in zip(monitors, parts, strict=True)])

    return together


def vertex_monitor(rng: np.random.Generator, places: Tensor) -> FeatureMonitor:
    """Return a random monitor function for a mesh of size 1 with these vertices, shape (d, N)."""
    dimension, number = places.shape
    # Most domains fill about two thirds of the square or cube they are in.
    spacing = (0.65 / number) ** (1.0 / dimension)
    return random_monitor(rng, places.T.double().numpy(force=True), size=1.0, spacing=spacing)


def random_group(rng: np.random.Generator, nodes: tuple[int, int], together: int, *, solid: bool) -> Group:
    """Return random meshes of least to most vertices, with random monitor functions."""
    graphs = []
    for _ in range(together):
        number = int(np.exp(rng.uniform(*np.log(nodes))))
        graphs.append(box_mesh(rng, nodes=max(number // 2, 100)) if solid else random_mesh(rng, nodes=number))
    group = _grouped(graphs, [TARGETS[number] for number in rng.integers(2, size=together)])
    group.monitors = [vertex_monitor(rng, places) for places in group.points.split(group.sizes, dim=1)]
    return group


def group_of(samples: Sequence[MoverSample], rng: np.random.Generator) -> Group:
    """Return samples of one dimension, each with its monitor function and a random target, as a group."""
    group = _grouped(
        [sample.graph for sample in samples], [TARGETS[number] for number in rng.integers(2, size=len(samples))]
    )
    for sample in samples:
        origin, size = frame(sample.graph)
        group.own.append(sample.monitor.in_units(origin.numpy(), size))
    group.monitors = list(group.own)
    return group


def _grouped(graphs: Sequence[MeshGraph], targets: list[str]) -> Group:
    mesh = prepare_meshes(graphs, targets)
    scaled = []
    for graph in graphs:
        origin, size = frame(graph)
        scaled.append(replace(graph, pos=(graph.pos - origin) / size))
    return Group(mesh, scaled, targets, mesh.reference, [])


# -- sources ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GroupSettings:
    """How the groups of a stream are drawn.

    Attributes
    ----------
    seed
        A group depends on this and its number only.
    together
        Meshes in a group.
    nodes
        Least and largest number of vertices.
    large
        Largest number of vertices of the single mesh that every seventh group consists of.
    solids
        Share of groups in 3D.
    """

    seed: int
    together: int = 4
    nodes: tuple[int, int] = (150, 1200)
    large: int = 5000
    solids: float = 0.1


# One group in so many is a single large mesh: it has more levels.
ALONE = 7


def make_group(settings: GroupSettings, number: int) -> list[dict[str, np.ndarray]]:
    """Return the arrays of the samples of a group."""
    alone = number % ALONE == 0
    solid = not alone and np.random.default_rng([settings.seed, number]).random() < settings.solids
    low, high = settings.nodes
    if alone:
        low, high = high, max(high, settings.large)
    drawn = DatasetSettings(seed=settings.seed, smallest=low, largest=high, solids=float(solid))
    first = number * settings.together
    return [make_sample(drawn, first + place) for place in range(1 if alone else settings.together)]


def streamed_groups(settings: GroupSettings, *, processes: int) -> Source:
    """Return groups drawn by other processes while they are used, without end."""

    def source(first: int) -> Generator[list[MoverSample], None, None]:
        with closing(stream(make_group, settings, count(first), processes=processes)) as made:
            for _, samples in made:
                yield [sample_of(arrays) for arrays in samples]

    return source


def stored_groups(data: MoverDataset, chosen: np.ndarray, *, seed: int, together: int, large: int = 1200) -> Source:
    """Return groups of the samples of a file, chosen by their places, epoch after epoch, each in another random order.

    Samples of one dimension are side by side; those of more than ``large`` vertices are alone.
    """

    def epoch(number: int) -> list[np.ndarray]:
        rng = np.random.default_rng([seed, number])
        order = rng.permutation(chosen)
        alone = data.vertices[order] > large
        groups = list(order[alone, None])
        for dimension in (2, 3):
            rest = order[~alone & (data.dimensions[order] == dimension)]
            groups += [rest[start : start + together] for start in range(0, len(rest), together)]
        return [groups[place] for place in rng.permutation(len(groups))]

    def source(first: int) -> Generator[list[MoverSample], None, None]:
        number, skipped = divmod(first, len(epoch(0)))
        for later in count(number):
            for places in epoch(later)[skipped:]:
                yield [data[int(place)] for place in places]
            skipped = 0

    return source
