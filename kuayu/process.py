"""How Python is set for a process that runs a node."""

import ctypes
import gc
import sys
from contextlib import suppress

SWITCH_INTERVAL = 0.0005
"""Seconds; with Python's 5 ms a busy writer would hold up every answer of the event loop that long."""
GC_THRESHOLDS = (50_000, 20, 50)
"""New objects between looks for cycles, and how many young looks make an older one. Cases are trees of values without
cycles: with all three stages and the broker in one process, Python's 700 cost a third of all CPU."""
_M_ARENA_MAX = -8
"""glibc's name for it (malloc.h)."""
ARENAS = 2
"""In which C code allocates; glibc takes eight for each core, and what a node's twenty threads leave in them adds up."""


def loading() -> None:
    """To be called before a node is loaded and built: of that nothing is garbage, and looking takes a tenth of it."""
    gc.disable()
    with suppress(OSError, AttributeError, TypeError):  # there is another C library
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, ARENAS)


def tune() -> None:
    """To be called once, when everything is loaded and built: what is there now is never looked through again."""
    sys.setswitchinterval(SWITCH_INTERVAL)
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    gc.enable()
