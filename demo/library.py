"""An MPI program that lets its ranks have files: mpirun -np 4 python demo/library.py FOLDER OUT

Rank 1 shares all that is in FOLDER; the ranks behind it get it, each into a folder of its own below OUT.
"""

import sys

from mpi4py import MPI

import tui_torrent

folder, out = sys.argv[1:]
comm = MPI.COMM_WORLD
if comm.rank == 0:
    report = tui_torrent.distribute(comm)  # the tracker
elif comm.rank == 1:
    tui_torrent.distribute(comm, root=folder, share="**/*")
else:
    tui_torrent.distribute(comm, want="**/*", out=f"{out}/rank{comm.rank}")

# Everything is there, on every rank, and MPI is yours again.
clients = comm.reduce(1 if comm.rank > 1 else 0)
if comm.rank == 0:
    assert report is not None
    print(f"{clients} ranks have all files, after {report.elapsed_s:.1f} s")
