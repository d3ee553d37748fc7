"""A text's count kept beside a run's checkpoints, so that going on need not count again.

The file is gzip, whose check sum tells a damaged one, of JSON. What was counted stands in it as a key: another text,
split or version of the package counts anew.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from ner_elmo import __version__
from ner_elmo.bilm.data.corpus import HELDOUT_MOST, TextSource
from ner_elmo.runs.directory import COUNT
from ner_elmo.text.counting import TextCount
from ner_elmo.text.files import json_text, replace_file


def count_key(source: TextSource, digests: Sequence[str]) -> str:
    """All that a count depends on, as one digest.

    Args:
        source: the text; how it is cut and what is left out of it.
        digests: SHA-256 of each of its files.
    """
    split = [source.split.share, sorted(source.split.elsewhere)]
    facts = [__version__, list(digests), source.tokenizer, source.encoding, split, HELDOUT_MOST]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def read_count(checkpoints: Path, key: str) -> TextCount | None:
    """The count that was kept in a run's ``checkpoints``; ``None`` if there is none, or none of this text."""
    try:
        with gzip.open(checkpoints / COUNT, "rt", encoding="utf-8") as stream:
            values = json.load(stream)
        return TextCount.from_dict(values["count"]) if values["key"] == key else None
    except Exception:  # whatever a missing, torn or foreign file makes of gzip and JSON: then the text is counted
        return None


def keep_count(checkpoints: Path, key: str, count: TextCount) -> None:
    """Write the count, whole or not at all.

    Raises:
        CannotWriteError: the system refuses, or the disk is full.
    """
    with (
        replace_file(checkpoints / COUNT) as temporary,
        gzip.open(temporary, "wt", compresslevel=1, encoding="utf-8") as stream,
    ):
        stream.write(json_text({"key": key, "count": count.to_dict()}))
