"""All ranks but the first have an error, for which it waits: run under mpiexec."""

from __future__ import annotations

from mpi4py import MPI

from cases.errors import EXIT_BAD_INPUT, InputError, one_line_errors, raise_on_all_ranks


def main(comm) -> None:
    """Wait on the first rank, raise an error of its own on each other."""

    def record() -> None:
        print(f"recorded by {comm.rank}", flush=True)

    with one_line_errors(EXIT_BAD_INPUT):
        if comm.rank > 0:
            raise_on_all_ranks(comm, InputError(f"of rank {comm.rank}"), record, patience=0.5)
        comm.Barrier()


if __name__ == "__main__":
    main(MPI.COMM_WORLD)
