"""Large pages for a process of many small objects.

Ten thousand simulated clients touch their memory at random. With pages of 4 KiB nearly each access looks the
page up first, in a virtual machine twice over; with 2 MiB hardly any does. Where Linux gives large pages on
request ("madvise", the usual setting), this is the request; elsewhere nothing happens.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

#: Of <linux/mman.h>: use large pages here from now on, and put together the small ones that are there (6.1).
_MADV_HUGEPAGE, _MADV_COLLAPSE = 14, 25

#: Bytes of a large page: smaller mappings hold none.
_LARGE = 2 << 20


def use_large_pages() -> None:
    """Ask for them wherever Python keeps its objects now. What is mapped later needs another call."""
    try:
        maps = Path("/proc/self/maps").read_text(encoding="utf-8")
        madvise = ctypes.CDLL(None).madvise
    except (OSError, AttributeError):
        return
    for line in maps.splitlines():
        addresses, access, _, _, inode, *path = line.split()
        start, end = (int(address, 16) for address in addresses.split("-"))
        if end - start < _LARGE or access != "rw-p" or inode != "0" or path not in ([], ["[heap]"]):
            continue
        for advice in (_MADV_HUGEPAGE, _MADV_COLLAPSE):
            # Refused, all stays as it was.
            madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), advice)
