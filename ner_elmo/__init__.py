"""Named-entity tagging on deep contextual word vectors that you can train yourself.

The public names load on first use, so that importing the package does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ner_elmo.elmo.encoder import Elmo
    from ner_elmo.tagger.tagger import Tagger
    from ner_elmo.text.documents import Document, Entity

__version__ = "0.1.0"
__all__ = ["Document", "Elmo", "Entity", "Tagger", "__version__"]

_HOMES = {
    "Tagger": "ner_elmo.tagger.tagger",
    "Elmo": "ner_elmo.elmo.encoder",
    "Document": "ner_elmo.text.documents",
    "Entity": "ner_elmo.text.documents",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'ner_elmo' has no attribute {name!r}")
