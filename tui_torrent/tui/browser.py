"""The driver of a monitor that is drawn in a browser: textual-serve's own, but it ends with its server."""

from __future__ import annotations

from contextlib import suppress

from textual.drivers._byte_stream import ByteStream
from textual.drivers.web_driver import WebDriver, _ExitInput

from tui_torrent.tui.driver import Typed

#: What TEXTUAL_DRIVER must say.
NAME = f"{__name__}:BrowserDriver"


class BrowserDriver(WebDriver):
    """Textual's goes on for ever once nobody can speak to it any more, and hears nothing more after a byte
    that is no UTF-8."""

    def run_input_thread(self) -> None:
        """Turn what the server sends into the app's events, until it says that this is the end."""
        typed, packets = Typed(self.process_message, self._debug), ByteStream()
        with suppress(_ExitInput):
            for data in self._input_reader:
                for kind, payload in packets.feed(data) if data else ():
                    if kind == "D":
                        typed.feed(payload)
                    else:
                        self._on_meta(kind, payload)
                typed.feed(b"")
        typed.end()
        self._input_reader.close()
        with suppress(RuntimeError):  # the app has ended already, and its loop with it
            self._loop.call_soon_threadsafe(self._app.exit)
