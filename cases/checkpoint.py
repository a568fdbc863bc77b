"""Checkpoints: the whole state of a run in one HDF5 file, from which it goes on exactly."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from firedrake import CheckpointFile, Function

FILE_NAME = "checkpoint.h5"
_GROUP = "driftmesh"
_FORMAT = 2  # to be raised when what a checkpoint holds changes


@dataclass(frozen=True)
class Checkpoint:
    """A run's state at one time.

    Attributes
    ----------
    state
        (h, hu, hv), on :attr:`mesh`.
    fields
        Further functions by name, such as the maximum elevation so far.
    scalars
        Numbers by name: time, step, inflow and so on.
    arrays
        Arrays by name, equal on all ranks.
    """

    state: Function
    fields: dict[str, Function]
    scalars: dict[str, float]
    arrays: dict[str, np.ndarray]

    @property
    def mesh(self):
        """Mesh of the state."""
        # The space of a mixed state has a sequence of meshes.
        return self.state.subfunctions[0].function_space().mesh()


def save_checkpoint(out: Path, checkpoint: Checkpoint) -> None:
    """Write the checkpoint of a run folder, replacing the one before only when it is complete; collective.

    Firedrake keeps partition and numbering in the file. On the same number of ranks they come back as they were,
    so that sums are taken in the same order and the run goes on bit for bit.
    """
    mesh, comm = checkpoint.mesh, checkpoint.mesh.comm
    temporary = out / (FILE_NAME + ".tmp")
    with CheckpointFile(str(temporary), "w", comm=comm) as file:
        file.save_mesh(mesh)
        file.save_function(checkpoint.state, name="state")
        for name, function in checkpoint.fields.items():
            file.save_function(function, name=name)
        group = file.h5pyfile.create_group(_GROUP)
        group.attrs["format"] = _FORMAT
        group.attrs["mesh"] = mesh.name
        group.attrs["fields"] = " ".join(checkpoint.fields)
        for name, value in checkpoint.scalars.items():
            group.attrs[name] = float(value)
        for name, array in checkpoint.arrays.items():
            group.create_dataset(name, data=np.asarray(array, dtype=float))
        del group  # an open object would keep the file from closing
    comm.Barrier()
    if comm.rank == 0:
        temporary.replace(out / FILE_NAME)
    comm.Barrier()


def load_checkpoint(out: Path, comm) -> Checkpoint:
    """Read the checkpoint of a run folder; collective.

    Raises
    ------
    ValueError
        If there is none, or it cannot be read.
    """
    path = out / FILE_NAME
    if not comm.bcast(path.is_file() if comm.rank == 0 else None):
        raise ValueError(
            f"checkpoint: got no {path}, expected one written by an earlier run; leave out --resume to start anew"
        )
    problem = comm.bcast(_unreadable(path) if comm.rank == 0 else None)
    if problem is not None:
        raise _refusal(path, problem)
    try:
        with CheckpointFile(str(path), "r", comm=comm) as file:
            group = file.h5pyfile[_GROUP]
            mesh_name, names = str(group.attrs["mesh"]), str(group.attrs["fields"]).split()
            scalars = {k: float(v) for k, v in group.attrs.items() if k not in ("format", "mesh", "fields")}
            arrays = {k: np.array(group[k]) for k in group}
            del group  # an open object would keep the file from closing, also when what follows fails
            mesh = file.load_mesh(mesh_name)
            state = file.load_function(mesh, "state")
            return Checkpoint(state, {name: file.load_function(mesh, name) for name in names}, scalars, arrays)
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        raise _refusal(path, str(error).splitlines()[0] if str(error) else type(error).__name__) from error


def _unreadable(path: Path) -> str | None:
    """Say what is wrong with a checkpoint at first sight; PETSc would fill the screen over it."""
    try:
        with h5py.File(path, "r") as file:
            if _GROUP not in file:
                return f"no group {_GROUP!r}"
            found = file[_GROUP].attrs.get("format")
            return None if found == _FORMAT else f"format {found} instead of {_FORMAT}"
    except OSError as error:
        return str(error)


def _refusal(path: Path, reason: str) -> ValueError:
    return ValueError(
        f"checkpoint: got {path}, expected a complete checkpoint of this version; "
        f"it cannot be read ({reason}); start a new run in another folder"
    )
