"""The protocols of annotation tools, so that a model marks entities inside them before people do."""

from __future__ import annotations

from fastapi import FastAPI

from ner_elmo.service.answering import Service
from ner_elmo.service.protocols import doccano, inception, label_studio


def add_protocols(api: FastAPI, service: Service) -> None:
    """Add the paths of every tool, each below its name."""
    for protocol in (label_studio, doccano, inception):
        protocol.add_paths(api, service)
