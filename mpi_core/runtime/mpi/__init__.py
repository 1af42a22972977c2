"""The only package that imports mpi4py.

Each port of a rank has a communicator of its own, so that no two threads wait for the same message, and
payloads have one more. Nothing here blocks inside MPI, which would spin on a core: every wait is a test
followed by a sleep, which a sender on the same host ends (measured: faster than blocking calls where ranks
share cores).
"""

from mpi_core.runtime.mpi.endpoint import MpiEndpoint
from mpi_core.runtime.mpi.world import Intracomm, World

__all__ = ["Intracomm", "MpiEndpoint", "World"]
