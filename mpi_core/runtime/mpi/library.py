"""MPI's start and end, with Python's interpreter free meanwhile.

Both wait for all ranks, and mpi4py holds the interpreter: no thread could end a process whose MPI waits for a
dead rank. So the library is called through ctypes, which lets the interpreter go. mpi4py is to leave that to
us: the command sets MPI4PY_RC_INITIALIZE before it is loaded.
"""

from __future__ import annotations

import ctypes

from mpi4py import MPI


def start() -> None:
    """Start MPI, unless it has started."""
    if MPI.Is_initialized():
        return
    provided = ctypes.c_int()
    _library().MPI_Init_thread(None, None, ctypes.c_int(MPI.THREAD_MULTIPLE), ctypes.byref(provided))
    # As mpi4py has it: errors are raised, on these and on the communicators made of them.
    for comm in (MPI.COMM_WORLD, MPI.COMM_SELF):
        comm.Set_errhandler(MPI.ERRORS_RETURN)


def finalize() -> None:
    """End MPI."""
    if not MPI.Is_finalized():
        _library().MPI_Finalize()


def _library() -> ctypes.CDLL:
    """That which mpi4py is linked to: what mpi4py's module does not have itself is sought there."""
    return ctypes.CDLL(MPI.__file__)
