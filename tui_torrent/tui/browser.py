"""The driver of a monitor that is drawn in a browser: textual-serve's own, but it ends with its server."""

from __future__ import annotations

from contextlib import suppress

from textual.drivers.web_driver import WebDriver

#: What TEXTUAL_DRIVER must say.
NAME = f"{__name__}:BrowserDriver"


class BrowserDriver(WebDriver):
    """Textual's goes on for ever once nobody can speak to it any more."""

    def run_input_thread(self) -> None:
        super().run_input_thread()
        with suppress(RuntimeError):  # the app has ended already, and its loop with it
            self._loop.call_soon_threadsafe(self._app.exit)
