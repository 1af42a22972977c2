"""``python -m tui_torrent``."""

import sys

from tui_torrent.cli import main

if __name__ == "__main__":
    sys.exit(main())
