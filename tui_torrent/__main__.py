"""``python -m tui_torrent``."""

import os
import sys

if __name__ == "__main__":
    try:
        from tui_torrent.cli import main

        sys.exit(main())
    except KeyboardInterrupt:
        # Ctrl+C while it starts: N tracebacks would help nobody.
        os._exit(130)
