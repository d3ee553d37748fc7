"""The models of a server: each with its name, its tagger and its queues."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ner_elmo.errors import UsageError
from ner_elmo.pages.label_colours import LabelColours
from ner_elmo.service.batching import Batcher, Job, Results
from ner_elmo.service.figures import Figures
from ner_elmo.service.settings import ServeSettings
from ner_elmo.tagger.tagger import Tagger, Unit, find_model, name_of_model
from ner_elmo.text.files import whole_name

_LONG = 4  # batches' worth of tokens, from which on a request has a queue of its own and delays no others


@dataclass
class ServedModel:
    """A tagger and its queues: one for requests of common size, one for long ones."""

    name: str
    tagger: Tagger
    common: Batcher
    long: Batcher
    batch_tokens: int

    async def tag(self, texts: Sequence[Unit], tokenized: bool, scores: bool) -> Results:
        """What is found in the texts, in their order.

        Raises:
            QueueFullError, ClosedError: as :meth:`Batcher.tag`.
        """
        is_long = Job(texts, tokenized, scores).size > _LONG * self.batch_tokens
        return await (self.long if is_long else self.common).tag(texts, tokenized, scores)

    @property
    def n_waiting(self) -> int:
        """Requests that wait."""
        return self.common.n_waiting + self.long.n_waiting

    @property
    def is_alive(self) -> bool:
        """Whether requests are worked on."""
        return self.common.is_alive and self.long.is_alive

    def facts(self) -> dict[str, Any]:
        """What ``GET /models`` says of it."""
        colours = LabelColours()
        return {
            "name": self.name,
            "labels": self.tagger.labels,
            "colours": {label: colours.number(label) for label in self.tagger.labels},
            "language": self.tagger.trained_on.get("language"),
            "text": self.tagger.text,
        }

    def close(self, seconds: float) -> None:
        """Finish what is there."""
        self.common.close(seconds)
        self.long.close(seconds)


def load_models(
    names: Sequence[str | None], settings: ServeSettings, device: Any, figures: Figures
) -> list[ServedModel]:
    """The models of these names or folders, by the last part of their paths.

    Raises:
        UsageError: there is no such model, or two have one name.
        ModelError: one is damaged.
    """
    found: list[ServedModel] = []
    for name in names:
        place = find_model(name)
        short = whole_name(Path(name).name if name else name_of_model(place))
        if any(model.name == short for model in found):
            raise UsageError(f"-m: two models are called {short}; expected folders of different names")
        tagger = Tagger.load(place, device=device, precision=settings.precision, batch_tokens=settings.batch_tokens)
        found.append(_served(short, tagger, settings, figures))
    return found


def _served(name: str, tagger: Tagger, settings: ServeSettings, figures: Figures) -> ServedModel:
    def tell(n_texts: int, seconds: float) -> None:
        figures.batch_texts.labels(name).observe(n_texts)
        figures.batch_seconds.labels(name).observe(seconds)

    common, long = (
        Batcher(tagger, settings.batch_tokens, settings.wait_ms / 1000, settings.max_queue, tell) for _ in range(2)
    )
    model = ServedModel(name, tagger, common, long, settings.batch_tokens)
    figures.waiting.labels(name).set_function(lambda: model.n_waiting)
    return model
