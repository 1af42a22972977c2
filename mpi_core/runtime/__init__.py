"""The real world: threads, MPI, clocks and files."""
