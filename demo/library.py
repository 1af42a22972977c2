"""An MPI program that lets its ranks have files: mpirun -np 4 python demo/library.py FOLDER OUT

Rank 1 shares all that is in FOLDER; the ranks behind it get it, each into a folder of its own below OUT.
"""

import sys

from mpi4py import MPI

import tui_torrent

comm = MPI.COMM_WORLD
if len(sys.argv) != 3 or comm.size < 3:
    if comm.rank == 0:
        print("usage: mpirun -np N python demo/library.py FOLDER OUT, with N of 3 or more", file=sys.stderr)
    sys.exit(2)
folder, out = sys.argv[1:]
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
