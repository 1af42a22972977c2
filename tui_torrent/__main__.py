"""``python -m tui_torrent``."""

import signal
import sys

if __name__ == "__main__":
    # Ctrl+C while it starts: N tracebacks would help nobody, and an exception that a callback of the import
    # system swallows would leave a rank alone in MPI's start, which waits for the others.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from tui_torrent.cli import main

    sys.exit(main())
