"""The Textual driver that draws on a terminal's device: the launcher's, from inside a rank, or our own.

Textual's own driver reads `sys.__stdin__`, writes `sys.__stderr__` and waits for SIGWINCH. A rank has
none of these. This one opens the terminal's device, polls its size, and takes its keys from the
device or, where the launcher reads that, from a queue which rank 0 fills over MPI. What is sent to
the terminal stays Textual's. It touches no signal handler, so it works beside MPI's.

`replay` and `attach` draw by it too: Textual's own believes COLUMNS and LINES before the terminal, and
ends in a traceback at a byte that is no UTF-8.

The driver restores the terminal when the app ends; a `terminal.Guardian` does it when the app cannot.
"""

from __future__ import annotations

import os
import queue
import select
import termios
from codecs import getincrementaldecoder
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from io import TextIOWrapper
from threading import Event, Thread
from typing import Any, cast

from textual import constants, events
from textual._parser import ParseError
from textual._xterm_parser import XTermParser
from textual.app import App
from textual.driver import Driver
from textual.drivers._writer_thread import WriterThread
from textual.drivers.linux_driver import (
    KITTY_DISAMBIGUATE_ESCAPE_CODES,
    KITTY_REPORT_ALL_KEYS,
    KITTY_REPORT_ASSOCIATED_TEXT,
    LinuxDriver,
)
from textual.geometry import Size
from textual.message import Message

from mpi_core.runtime.interrupt import noted
from tui_torrent.tui.terminal import (
    POLL,
    Terminal,
    get_attributes,
    open_terminal,
    own_terminal,
    raw_attributes,
    restore_attributes,
    set_attributes,
    window_size,
    write_all,
)

#: The app's return code when its terminal or its launcher is gone: as if by SIGHUP.
HUNG_UP = 129

Keys = queue.SimpleQueue[bytes]


def own_driver() -> type[Driver] | None:
    """The driver class of a command that has the terminal for its own streams."""
    return None if served_elsewhere() else make_driver(own_terminal(), None)


def served_elsewhere() -> bool:
    """Whether the app is drawn elsewhere, such as in a browser: then Textual chooses the driver itself."""
    return bool(os.environ.get("TEXTUAL_DRIVER"))


def make_driver(terminal: Terminal, keys: Keys | None) -> type[Driver]:
    """The driver class to give to `App(driver_class=…)`, for that terminal.

    Without `keys` the driver reads the terminal itself. With them it takes what comes out of the queue,
    until an empty chunk tells it to read the terminal after all.
    """

    class LaunchersTerminal(TerminalDriver):
        def __init__(
            self,
            app: App[Any],
            *,
            debug: bool = False,
            mouse: bool = True,
            size: tuple[int, int] | None = None,
        ) -> None:
            super().__init__(app, terminal, keys, debug=debug, mouse=mouse, size=size)

    return LaunchersTerminal


class _Screen:
    """The file that Textual's writer thread writes to. It never raises: a dead writer thread would let
    its bounded queue fill up, and the app would wait for it for ever."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def write(self, text: str) -> int:
        write_all(self._fd, text.encode("utf-8", "replace"))
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""

    def fileno(self) -> int:
        return self._fd


class Typed:
    """What was typed, as the app's events. Bytes that are no UTF-8, as in old mouse reports, do no harm."""

    def __init__(self, handle: Callable[[Message], None], debug: bool) -> None:
        self._handle = handle
        self._parser = XTermParser(debug)
        self._decode = getincrementaldecoder("utf-8")("replace").decode

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes, if there are any, and notice the time."""
        text = self._decode(chunk)
        # Feeding nothing would tell the parser that this is the end.
        for message in self._parser.feed(text) if text else ():
            self._handle(message)
        for message in self._parser.tick():
            self._handle(message)

    def end(self) -> None:
        """No more will come."""
        with suppress(EOFError, ParseError):
            for _ in self._parser.feed(""):
                pass


class TerminalDriver(LinuxDriver):
    """LinuxDriver's output and protocol on a device of our choice; keys and size by polling."""

    def __init__(
        self,
        app: App[Any],
        terminal: Terminal,
        keys: Keys | None,
        *,
        debug: bool = False,
        mouse: bool = True,
        size: tuple[int, int] | None = None,
    ) -> None:
        # Not LinuxDriver's, which needs standard streams and sets signal handlers. What it would have
        # set up for its other methods is set up here.
        Driver.__init__(self, app, debug=debug, mouse=mouse, size=size)
        self._terminal = terminal
        self._keys = keys
        self._parent = os.getppid()
        #: The Linux console knows no queries and no kitty keyboard; old kernels print their ends.
        self._is_console = os.environ.get("TERM") == "linux"
        #: The terminal from start_application_mode() to close(), else -1.
        self.fileno = -1
        self.input_tty = True
        self.attrs_before: list[Any] | None = None
        self.exit_event = Event()
        self._key_thread: Thread | None = None
        self._writer_thread: WriterThread | None = None
        self._must_signal_resume = False
        self._in_band_window_resize = False
        self._mouse_pixels = False
        #: The size the app was last told; only the input thread changes it once that runs.
        self._told_size = (0, 0)

    @property
    def can_suspend(self) -> bool:
        """Never: the job does not stop when its monitor does."""
        return False

    # ------------------------------------------------------------------------------ start and stop

    def start_application_mode(self) -> None:
        """Take the terminal over. OSError if it cannot be opened any more."""
        self.fileno = open_terminal(self._terminal)
        self._writer_thread = WriterThread(cast(TextIOWrapper, _Screen(self.fileno)))
        self._writer_thread.start()
        # The app's first size, which Textual would else take from the environment.
        self._size = self._get_terminal_size()
        self._tell_size()

        self.write("\x1b[?1049h")  # alternate screen
        self._enable_mouse_support()
        with suppress(OSError):
            self.attrs_before = get_attributes(self.fileno)
            set_attributes(self.fileno, raw_attributes(self.attrs_before))
        self.write("\x1b[?25l")  # hide the cursor
        self.write("\x1b[?1004h")  # report focus
        if not (constants.DISABLE_KITTY_KEY or self._is_console):
            flags = KITTY_DISAMBIGUATE_ESCAPE_CODES | KITTY_REPORT_ALL_KEYS | KITTY_REPORT_ASSOCIATED_TEXT
            self.write(f"\x1b[>{flags}u")
        self._key_thread = Thread(target=self._run_input_thread, name="textual-input", daemon=True)
        self._key_thread.start()
        if not self._is_console:
            self._request_terminal_sync_mode_support()
            self._query_in_band_window_resize()
        self._enable_bracketed_paste()
        self._disable_line_wrap()
        self._enable_mouse_support()  # again, for iTerm: as LinuxDriver does

    def write(self, data: str) -> None:
        """Send text to the terminal; nothing once it is closed."""
        if self._writer_thread is not None:
            self._writer_thread.write(data)

    def disable_input(self) -> None:
        """Stop reading keys, and drop those not read yet."""
        if self._key_thread is None:
            return
        self._disable_mouse_support()
        self.exit_event.set()
        self._key_thread.join()
        self._key_thread = None
        self.exit_event.clear()
        # Keys meant for the app are not left to the shell.
        with suppress(termios.error):
            termios.tcflush(self.fileno, termios.TCIFLUSH)

    def stop_application_mode(self) -> None:
        """Give the terminal back as it was."""
        self._disable_bracketed_paste()
        self._enable_line_wrap()
        self._disable_in_band_window_resize()
        self.disable_input()
        if self._mouse_pixels:
            self.write("\x1b[?1016l")
        if not self._is_console:
            self.write("\x1b[<u")  # the kitty keyboard: each screen has its own, so before leaving
        # Cleared first, for terminals that have no alternate screen to leave.
        self.write("\x1b[0m\x1b[H\x1b[2J\x1b[?1049l\x1b[?25h\x1b[?1004l")
        if self.attrs_before is not None:
            restore_attributes(self.fileno, self.attrs_before)

    def close(self) -> None:
        """Wait until all is written, and let the device go."""
        if self._writer_thread is not None:
            self._writer_thread.stop()
            self._writer_thread = None
        if self.fileno >= 0:
            os.close(self.fileno)
            self.fileno = -1

    # ------------------------------------------------------------------------------- keys and size

    def _get_terminal_size(self) -> tuple[int, int]:
        return window_size(self.fileno)

    def _tell_size(self) -> None:
        """Tell the app the window's size if it is news. OSError if the terminal has hung up."""
        size = self._get_terminal_size()
        if size != self._told_size:
            self._told_size = size
            if not self._in_band_window_resize:
                self.send_message(events.Resize(Size(*size), Size(*size)))

    def _next_chunk(self) -> bytes:
        """The next keys, or nothing after `POLL` seconds. OSError if the terminal has hung up."""
        if self._keys is not None:
            try:
                chunk = self._keys.get(timeout=POLL)
            except queue.Empty:
                return b""
            if not chunk:
                self._keys = None
            return chunk
        poller = select.poll()
        poller.register(self.fileno, select.POLLIN)
        if not poller.poll(int(POLL * 1000)):
            return b""
        chunk = os.read(self.fileno, 4096)
        if not chunk:
            raise OSError("end of file on the terminal")
        return chunk

    def run_input_thread(self) -> None:
        """Turn keys into the app's events, and watch the size, until told to stop."""
        typed = Typed(self.process_message, self._debug)
        try:
            while not self.exit_event.is_set():
                self._tell_size()
                if os.getppid() != self._parent:
                    # Open MPI's ranks outlive a killed mpirun. The shell has the terminal back by then.
                    raise OSError("the launcher is gone")
                if noted() is not None:
                    raise OSError("a signal has ended the run")
                typed.feed(self._next_chunk())
        except OSError:
            # Nobody will see or type anything again. Reading on would only burn a core.
            self._loop.call_soon_threadsafe(partial(self._app.exit, return_code=HUNG_UP))
        finally:
            typed.end()
