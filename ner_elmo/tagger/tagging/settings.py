"""The settings of ``tag``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from ner_elmo import __version__
from ner_elmo.nn import precisions
from ner_elmo.settings import SettingError, check, setting
from ner_elmo.text.formats.conll import resolved_text
from ner_elmo.text.formats.targets import TARGETS
from ner_elmo.text.formats.writers import FORMATS, Writing
from ner_elmo.text.records import DATA, LINE, TextReading

_MACHINE = "Machine"
# What makes no other output.
_WITHOUT_EFFECT = ("pattern", "processes", "batch_tokens", "summary", "key_file", "engine", "address", "workers")
HERE, RAY = "here", "ray"


def format_names() -> list[str]:
    """The formats that can be written."""
    return list(dict.fromkeys((*FORMATS, *TARGETS)))


@dataclass(frozen=True, kw_only=True)
class TagSettings(Writing, TextReading):
    """How texts are tagged: which there are, how they are read, and what is written.

    Raises:
        SettingError: a value that cannot be meant, or two that cannot stand together.
    """

    text: str | None = setting(
        None,
        help="kind of raw text: a language's code (de, fr, ar, ja and others), en-1, characters, whitespace",
        by_default="the model's",
        panel=DATA,
    )
    tokenized: bool = setting(False, help="a line is a sentence, blanks separate its tokens", panel=DATA)
    dehyphenate: bool = setting(
        False, help="join words that are parted at a line's end (with --unit paragraph)", panel=DATA
    )
    fold_long_s: bool = setting(False, help="read the long s of old print as s", panel=DATA)
    pattern: str | None = setting(
        None,
        help="which files of a folder; several: with commas, or repeated",
        by_default="*.txt, also packed; with --from those of that ending",
        repeats=True,
        panel=DATA,
    )
    scores: bool = setting(
        True,
        help="compute probabilities; without them it is faster, and the entities are the same",
        flag="--scores/--no-scores",
        panel="Output",
    )
    precision: str = setting("auto", help=precisions.INFERENCE_HELP, choices=precisions.INFERENCE, panel=_MACHINE)
    processes: int | None = setting(
        None,
        help="worker processes with one thread each, in place of threads",
        by_default="one for each thread, 16 at most, where files of more than 1 MB are tagged; else 1",
        at_least=1,
        at_most=1024,
        panel=_MACHINE,
    )
    batch_tokens: int | None = setting(None, help="tokens computed together", at_least=1, panel=_MACHINE)
    engine: str = setting(
        HERE, help="what tags: here, this machine; ray, a cluster", choices=(HERE, RAY), panel=_MACHINE
    )
    address: str | None = setting(
        None,
        help="the cluster of --engine ray: HOST:PORT, or auto for the one this machine belongs to",
        by_default="one of this machine alone",
        metavar="ADDRESS",
        panel=_MACHINE,
    )
    workers: int | None = setting(
        None,
        help="workers of --engine ray, with a CPU and a copy of the model each",
        by_default="as many as the cluster has CPUs",
        at_least=1,
        panel=_MACHINE,
    )

    def __post_init__(self) -> None:
        check(self)
        if self.format not in format_names():
            raise SettingError("format", f"found {self.format}, expected one of {', '.join(format_names())}")
        object.__setattr__(self, "text", resolved_text(self.text))  # frozen for others
        for key, problem in self._problems():
            raise SettingError(key, problem)

    def _problems(self) -> Iterable[tuple[str, str]]:
        """What does not fit together."""
        yield from self.writing_problems()
        if not self.scores and self.min_score:
            yield "min_score", "needs probabilities and --no-scores computes none; drop one of them"
        for key, value in (("address", self.address), ("workers", self.workers)):
            if value is not None and self.engine == HERE:
                yield key, "is for an engine; expected --engine ray with it"
        if self.engine != HERE and (self.processes or 1) > 1:
            yield "processes", f"are of this machine; expected --workers N with --engine {self.engine}"
        if self.dehyphenate and self.unit == LINE:
            yield "dehyphenate", "joins the ends of lines; expected --unit paragraph or --unit file with it"
        if self.tokenized and (self.text is not None or self.dehyphenate):
            drop = "--text" if self.text is not None else "--dehyphenate"
            yield "tokenized", f"reads tokens as they are; drop it or {drop}"

    def digest(self, model: str) -> str:
        """The SHA-256 of all that decides what is written, beside the input.

        Args:
            model: the digest of the model.
        """
        values = {key: value for key, value in asdict(self).items() if key not in _WITHOUT_EFFECT}
        text = json.dumps([__version__, model, values], sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()
