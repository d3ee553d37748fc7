"""How a process of the command line uses memory: it keeps what it has had, and Python's collector seldom looks for what
nobody uses any more. Without importing torch.

Programs that use the package are left as they are where they tag and embed; where they train, memory is kept as well.
"""

from __future__ import annotations

import ctypes
import gc
import sys

# What glibc's ``mallopt`` (malloc.h) calls its settings. Larger pieces than the first are asked of the system each
# time, and 32 MiB is the most it takes; more free memory than the second, at the end of what the process has, is given
# back.
_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1
_LARGEST_KEPT = 32 << 20  # bytes
_MOST_KEPT = 256 << 20  # bytes
_NEW_OBJECTS = 50_000  # as usual 700, or 2,000


def keep_memory() -> None:
    """Let the process keep memory that it has had, where its C library can be told so (glibc): a batch asks for what
    the last one gave back, and the system gives it page by page, which takes up to a tenth of the time."""
    if sys.platform != "linux":
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(_MMAP_THRESHOLD, _LARGEST_KEPT)
        library.mallopt(_TRIM_THRESHOLD, _MOST_KEPT)


def collect_rarely() -> None:
    """Once all models are loaded: let Python's collector leave alone what stands now, for ever, and look at what comes
    far less often. Results of many lines make it look at everything again and again, which took a thirtieth of
    the time; they have no cycles, so that nothing waits for it."""
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, 20, 100)
