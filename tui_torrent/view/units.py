"""How amounts, rates, times and shares are written: the same in plain lines, on every screen, in the report.

Bytes are counted in powers of 1000: kB, MB, GB. Nothing here rounds a share up to the whole.
"""

from __future__ import annotations

from math import floor

_BYTES = ("B", "kB", "MB", "GB", "TB", "PB")


def bytes_text(count: float) -> str:
    """Bytes in at most six characters: ``999 B``, ``1.2 MB``, ``123 MB``."""
    number, unit = _scaled(count)
    return f"{_short(number, unit)} {unit}"


def bytes_of_text(part: float, whole: float) -> str:
    """A part, rounded down, and the whole in the whole's unit: ``42 of 92 MB``, ``0.4 of 4.2 GB``."""
    number, unit = _scaled(whole)
    of = _short(number, unit)
    if part >= whole:
        return f"{of} of {of} {unit}"
    digits = 1 if "." in of else 0
    scaled = floor(part * number / whole * 10**digits + 1e-9) / 10**digits
    return f"{scaled:.{digits}f} of {of} {unit}"


def rate_text(rate: float, real: bool = True) -> str:
    """Bytes a second, ``4.2 MB/s``; of segments without bytes, segments a second: ``640 segments/s``."""
    return f"{bytes_text(rate)}/s" if real else f"{number_text(rate)} segments/s"


def number_text(number: float) -> str:
    """A number that is a mean or a rate, in at most six characters: ``0.4``, ``640``, ``12.3k``, ``1.2M``."""
    for unit in ("", "k", "M"):
        if number < (9_999.5 if not unit else 999.95):
            return f"{number:.1f}{unit}" if unit or 0 < number < 9.95 else f"{number:.0f}"
        number /= 1000
    return f"{number:.1f}G"


def time_text(seconds: float) -> str:
    """A time or a duration in at most six characters: ``4.2 s``, ``1:23``, ``1 h 02``."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d}"
    return f"{whole // 3600} h {whole % 3600 // 60:02d}"


def stamp_text(seconds: float) -> str:
    """A moment to a tenth of a second: ``4.2 s``, ``1:23.4``, ``1:02:03.4``."""
    tenths = round(10 * seconds)
    if tenths < 600:
        return f"{tenths / 10:.1f} s"
    minutes, tenths = divmod(tenths, 600)
    if minutes < 60:
        return f"{minutes}:{tenths / 10:04.1f}"
    return f"{minutes // 60}:{minutes % 60:02d}:{tenths / 10:04.1f}"


def about_text(seconds: float) -> str:
    """A time that is an estimate: whole seconds from ten on."""
    return f"{seconds:.0f} s" if 9.95 <= seconds < 59.5 else time_text(seconds)


def moment_text(seconds: float) -> str:
    """A time that may be very short: ``42 µs``, ``1.3 ms``, ``2.0 s``."""
    if not seconds:
        return "0 s"
    for unit, size in (("µs", 1e-6), ("ms", 1e-3)):
        number = seconds / size
        if number < 999.5:
            return f"{number:.1f} {unit}" if number < 9.95 else f"{number:.0f} {unit}"
    return time_text(seconds)


def percent(share: float) -> int:
    """0…100, rounded down: 100 means all and nothing less."""
    return floor(100 * min(1.0, share) + 1e-9)


def percent_text(share: float) -> str:
    """``45 %``, rounded down; ``<1 %`` of what is not nothing."""
    return "<1 %" if 0 < share < 0.01 else f"{percent(share)} %"


def _scaled(count: float) -> tuple[float, str]:
    """The number in the unit that leaves one to three digits before the point, and that unit."""
    for unit in _BYTES[:-1]:
        if count < 999.5:
            return count, unit
        count /= 1000
    return count, _BYTES[-1]


def _short(number: float, unit: str) -> str:
    return f"{number:.1f}" if unit != "B" and number < 9.95 else f"{number:.0f}"
