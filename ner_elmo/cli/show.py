"""What commands show: lines and progress on standard error, results on standard output."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

from ner_elmo.cli.streams import say
from ner_elmo.errors import without_excerpts
from ner_elmo.runs import launch
from ner_elmo.text.files import json_text

PLAIN_EVERY = 20.0  # seconds between lines where there is no terminal


class Progress(AbstractContextManager["Progress"]):
    """A bar over ``total`` units of work with a line of figures beside it; plain lines where there is no terminal.

    Args:
        what: a word for the work.
        total: how much there is; 0 if nobody knows.
        unit: what is counted, in the plural.
    """

    def __init__(self, what: str, total: int, unit: str = "tokens") -> None:
        self.what, self.total, self.unit = what, total, unit
        self._bar: Any = None
        self._task: Any = None
        self._last = 0.0
        self._done_at_start: int | None = None
        self._started = time.monotonic()

    def __enter__(self) -> Progress:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, TaskProgressColumn, TextColumn
            from rich.progress import Progress as RichProgress

            self._bar = RichProgress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=12),  # the figures have to fit beside it in 80 columns
                TaskProgressColumn(),
                TextColumn("{task.fields[figures]}"),
                console=Console(stderr=True),
            )
            self._task = self._bar.add_task(self.what, total=self.total or None, figures="")
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, done: int, figures: str, total: int | None = None) -> None:
        """Show that ``done`` units are done, with ``figures`` and the time that is left; ``total`` where it changes."""
        self.total = self.total if total is None else total
        now = time.monotonic()
        if self._done_at_start is None:
            self._done_at_start, self._started, self._last = done, now, now if self._bar is None else 0.0
            return
        speed = (done - self._done_at_start) / max(now - self._started, 1e-9)
        left = max(0, self.total - done) / speed if speed else float("inf")
        figures = f"{figures}{' · ' if figures else ''}{speed:,.0f} {self.unit}/s"
        figures += f" · {duration(left)} left" if self.total else ""
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=self.total or None, figures=figures)
        elif now - self._last >= PLAIN_EVERY:
            self._last = now
            of = f" of {self.total:,} {self.unit} ({done / self.total:.1%})" if self.total else f" {self.unit}"
            self.line(f"{self.what}: {done:,}{of} · {figures}")

    def line(self, message: str) -> None:
        """A line above the bar, or on its own."""
        if self._bar is not None:
            self._bar.console.print(printable(message), highlight=False, markup=False)
        else:
            say(printable(message))


def duration(seconds: float) -> str:
    """Seconds in the two largest units that fit, such as ``2 h 05 min``."""
    if seconds == float("inf"):
        return "?"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min" if minutes >= 10 else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


class Display(AbstractContextManager["Display"]):
    """Turns the events of a run (:mod:`ner_elmo.runs.events`) into what a person sees.

    Args:
        tables: whether tables of scores go to standard output.
        bars: whether progress is shown at all.
    """

    def __init__(self, tables: bool = False, bars: bool = True) -> None:
        self._tables, self._bars = tables, bars
        self._progress: Progress | None = None

    def __exit__(self, *_: object) -> None:
        self._end()

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Show one event."""
        kind = event["event"]
        if kind == "step":
            loss = (event["forward"] + event["backward"]) / 2
            figures = f"step {event['step']:,} · loss {loss:.2f}"
            self._advance("pretrain", event["tokens"], event["total_tokens"], figures)
        elif kind == "progress":
            self._advance(event["what"], event["done"], event["total"])
        elif kind == "scores":
            if self._tables:
                print(f"{event['part']} (seed {event['seed']}):\n{event['message']}", flush=True)
        elif kind == "summary":
            self._end()
            if event["is_beside_results"]:
                say(event["message"])
            else:
                print(event["message"], flush=True)
        else:
            self.line(_MESSAGES[kind](event) if kind in _MESSAGES else str(dict(event)))

    def line(self, message: str) -> None:
        """One line for the person at the terminal."""
        if self._progress is None:
            note(message)
        else:
            self._progress.line(message)

    def _advance(self, what: str, done: int, total: int, figures: str = "") -> None:
        if not self._bars:
            return
        if self._progress is None or self._progress.what != what:
            self._end()
            self._progress = Progress(what, total).__enter__()
        self._progress.update(done, figures, total)

    def _end(self) -> None:
        if self._progress is not None:
            self._progress.__exit__(None, None, None)
            self._progress = None


def note(message: str) -> None:
    """A line for the person at the terminal, on standard error; of several processes the first says it."""
    if launch.is_first():
        say(printable(message))


def model_in_use(given: str | None) -> None:
    """Say which model is read if none was given, and of one that ships, how far its terms allow its use.

    Args:
        given: the directory or name, or nothing.
    """
    from ner_elmo.bilm.files.directory import shipped_models
    from ner_elmo.tagger.store import read_info
    from ner_elmo.tagger.tagger import find_model, name_of_model

    place = find_model(given)
    name = name_of_model(place)
    if place not in shipped_models().values():
        return
    licence = str(read_info(place).get("licence") or "")
    terms = f"for research use only; its terms: ner-elmo info {name}" if "research" in licence else ""
    if given is None:
        note(f"no -m: using the model that ships, {name}{f' ({terms})' if terms else ''}")
    elif terms:
        note(f"model {name}: {terms}")


def printable(message: str) -> str:
    """The message without anything that a terminal would obey; names of files and quoted data may hold that."""
    return "".join(
        c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape", "surrogatepass").decode()
        for c in without_excerpts(message)
    )


def print_json(value: Any) -> None:
    """One JSON object on standard output; of several processes the first prints it."""
    if launch.is_first():
        sys.stdout.write(json_text(value) + "\n")


def _counted(event: Mapping[str, Any]) -> str:
    about = "" if event["repeated_is_exact"] else "about "
    left_out = event["left_out_as_heldout"]
    return (
        f"{event['types']:,} different tokens; {about}{event['repeated_sentences']:,} sentences repeat an earlier one"
        + (f"; {left_out:,} left out, as they are held out" if left_out else "")
    )


def _start(event: Mapping[str, Any]) -> str:
    return (
        f"{event['corpus_tokens']:,} tokens in {event['corpus_sentences']:,} sentences, "
        f"{event['heldout_sentences']:,} held out; vocabulary {event['vocabulary']:,}; "
        f"{event['parameters']:,} parameters; softmax {event['softmax']}; "
        f"training on {event['total_tokens']:,} tokens" + _processes(event)
    )


def _processes(event: Mapping[str, Any]) -> str:
    return f" in {event['processes']} processes" if event.get("processes", 1) > 1 else ""


def _perplexity(event: Mapping[str, Any]) -> str:
    seen = event["tokens_seen"]
    return (
        f"held-out perplexity {event['mean']:.2f} (forward {event['forward']:.2f}, backward {event['backward']:.2f}, "
        f"unknown {event['unk_rate']:.2%}) "
        + (f"after {seen:,} tokens" if seen else "before training")
        + (" · best" if event["is_best"] and seen else "")
    )


def _epoch(event: Mapping[str, Any]) -> str:
    best = "  best so far" if event["is_best"] else ""
    if event["f1"] is None:
        score = "no dev score"
    elif event["figure"] == "F1":
        score = f"dev P {event['precision']:.4f}  R {event['recall']:.4f}  F1 {event['f1']:.4f}"
    else:
        score = f"dev {event['figure']} {event['f1']:.4f}"
    return (
        f"seed {event['seed']}  epoch {event['epoch']:3d}  loss {event['loss']:8.4f}  {score}"
        f"  lr {event['learning_rate']:.2g}"
        f"  {event['tokens_per_second']:,.0f} tokens/s  {event['seconds']:.1f} s{best}"
    )


def _resume(event: Mapping[str, Any]) -> str:
    if "tokens" not in event:
        return f"resuming after epoch {event['step']}"
    return f"resumed at step {event['step']:,} ({event['tokens']:,} tokens seen){_processes(event)}"


# How each kind of event reads as one line.
_MESSAGES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "note": lambda e: str(e["message"]),
    "warning": lambda e: f"warning: {e['message']}",
    "counted": _counted,
    "start": _start,
    "resume": _resume,
    "processes": lambda e: (
        f"the run had {e['before']} process(es) and goes on with {e['now']}: the same batches and steps, "
        "equal to rounding, not to the bit"
    ),
    "skipped": lambda e: f"step {e['step']:,} skipped: its loss was not finite ({e['in_all']} skipped in all)",
    "perplexity": _perplexity,
    "epoch": _epoch,
    "stopped": lambda e: f"{e['checkpoint']}: saved after {e['tokens']:,} tokens",
    "finished": lambda e: f"finished after {e['tokens']:,} tokens",
}
