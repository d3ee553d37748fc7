"""Which sentences are held out, where no file of held-out ones is given."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def is_heldout(tokens: Sequence[str], share: float) -> bool:
    """Whether a sentence is among the ``share`` (0..1) that is held out: by a hash of its tokens, so that repeated
    sentences stay on one side, in whatever order the files are read."""
    digest = hashlib.blake2b(" ".join(tokens).encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "big") < share * 2**64
