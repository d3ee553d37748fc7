"""What the server counts, as Prometheus reads it."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Figures:
    """Counters of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        names: dict[str, Any] = {"registry": self.registry, "namespace": "ner_elmo"}
        self.requests = Counter("requests", "Requests answered", ["path", "status"], **names)
        self.seconds = Histogram("request_seconds", "Time to answer", ["path"], buckets=_SECONDS, **names)
        self.tokens = Counter("tokens", "Tokens tagged", ["model"], **names)
        self.entities = Counter("entities", "Entities found", ["model", "label"], **names)
        self.waiting = Gauge("queue_requests", "Requests that wait", ["model"], **names)
        self.batch_texts = Histogram("batch_texts", "Texts computed together", ["model"], buckets=_TEXTS, **names)
        self.batch_seconds = Histogram("batch_seconds", "Time to compute a batch", ["model"], buckets=_SECONDS, **names)

    def as_text(self) -> bytes:
        """All figures."""
        return generate_latest(self.registry)
