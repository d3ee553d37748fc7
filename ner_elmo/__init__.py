"""Named-entity tagging on deep contextual word vectors that you can train yourself.

The public names load on first use, so that importing the package does not import torch. docs/python.md has them all,
with examples.
"""

from __future__ import annotations

from importlib import import_module

# Not imported from typing, which takes a while in which nothing of ours could answer Ctrl-C.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from ner_elmo.bilm.perplexity import Perplexity
    from ner_elmo.bilm.pretraining.config import PretrainConfig
    from ner_elmo.elmo.encoder import Elmo
    from ner_elmo.errors import CannotWriteError, DataError, ModelError, NerElmoError, UsageError, WrongTypeError
    from ner_elmo.library.data import convert, read_corpus
    from ner_elmo.library.evaluation import LabelScores, Scores, evaluate
    from ner_elmo.library.joining import join_taggers
    from ner_elmo.library.training import PretrainedBilm, TrainedTagger, pretrain, train_tagger
    from ner_elmo.tagger.tagger import Tagger
    from ner_elmo.tagger.training.config import TaggerConfig
    from ner_elmo.text.documents import Document, Entity, Failure, Token
    from ner_elmo.text.formats.conll import Reading
    from ner_elmo.text.formats.corpus import Corpus, LabelledSentence
    from ner_elmo.text.tag_scheme import Span

__version__ = "0.1.0"

_HOMES = {
    "ner_elmo.bilm.perplexity": ("Perplexity",),
    "ner_elmo.bilm.pretraining.config": ("PretrainConfig",),
    "ner_elmo.elmo.encoder": ("Elmo",),
    "ner_elmo.errors": (
        "CannotWriteError",
        "DataError",
        "ModelError",
        "NerElmoError",
        "UsageError",
        "WrongTypeError",
    ),
    "ner_elmo.library.data": ("convert", "read_corpus"),
    "ner_elmo.library.evaluation": ("LabelScores", "Scores", "evaluate"),
    "ner_elmo.library.joining": ("join_taggers",),
    "ner_elmo.library.training": ("PretrainedBilm", "TrainedTagger", "pretrain", "train_tagger"),
    "ner_elmo.tagger.tagger": ("Tagger",),
    "ner_elmo.tagger.training.config": ("TaggerConfig",),
    "ner_elmo.text.documents": ("Document", "Entity", "Failure", "Token"),
    "ner_elmo.text.formats.conll": ("Reading",),
    "ner_elmo.text.formats.corpus": ("Corpus", "LabelledSentence"),
    "ner_elmo.text.tag_scheme": ("Span",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "CannotWriteError",
    "Corpus",
    "DataError",
    "Document",
    "Elmo",
    "Entity",
    "Failure",
    "LabelScores",
    "LabelledSentence",
    "ModelError",
    "NerElmoError",
    "Perplexity",
    "PretrainConfig",
    "PretrainedBilm",
    "Reading",
    "Scores",
    "Span",
    "Tagger",
    "TaggerConfig",
    "Token",
    "TrainedTagger",
    "UsageError",
    "WrongTypeError",
    "__version__",
    "convert",
    "evaluate",
    "join_taggers",
    "pretrain",
    "read_corpus",
    "train_tagger",
]


# Not for type checkers, to which any name would then be one of these.
if not TYPE_CHECKING:

    def __getattr__(name):
        """A public name, from the module that has it."""
        if name in _HOME_OF:
            return getattr(import_module(_HOME_OF[name]), name)
        raise AttributeError(f"module 'ner_elmo' has no attribute {name!r}")

    def __dir__():
        return sorted({*globals(), *__all__})
