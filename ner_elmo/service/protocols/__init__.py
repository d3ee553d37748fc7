"""The protocols of annotation tools, so that a model marks entities inside them before people do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI

from ner_elmo.service.protocols import doccano, inception, label_studio

if TYPE_CHECKING:
    from ner_elmo.service.app import Service


def add_protocols(api: FastAPI, service: Service) -> None:
    """Add the paths of every tool, each below its name."""
    for protocol in (label_studio, doccano, inception):
        protocol.add_paths(api, service)
