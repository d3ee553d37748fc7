"""What a tagger's network is made of: enough to build one without weights. No tensor is met here."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from ner_elmo.settings import setting

LEARNED_MIX = "learned"
MEAN_MIX = "mean"
INPUT, OUTPUT, BOTH = "input", "output", "both"  # where biLM layers come in
DROPOUT_MOST = 0.95
MOST_NUMBERS = 65_536  # in a vector: of this network, more are a mistake

NO_CONTEXT, DOCUMENT = "none", "document"

# Panels of --help.
BILM_LAYERS, WORDS, NETWORK = "biLM layers", "Words and characters", "Network"


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """What a user chooses of a network.

    ``mix`` and ``gamma``: learned softmax weights and a scale γ over the layers, or their mean (Peters et al. 2018,
    equation 1); where they come in is ``elmo_at`` (section 3.3 there).
    """

    mix: str = setting(
        LEARNED_MIX, help="learned, mean, or the number of the only layer", panel=BILM_LAYERS, metavar="NAME"
    )
    gamma: bool = setting(True, help="a learned mix has a learned scale", flag="--gamma/--no-gamma", panel=BILM_LAYERS)
    mix_layer_norm: bool = setting(
        False, help="normalise each layer, sentence by sentence, before mixing", panel=BILM_LAYERS
    )
    elmo_at: str = setting(
        INPUT,
        help="input, output or both: of the BiLSTM, each with its own mix",
        choices=(INPUT, OUTPUT, BOTH),
        panel=BILM_LAYERS,
    )
    elmo_dropout: float = setting(0.5, help="on the mixed layers", at_least=0, at_most=DROPOUT_MOST, panel=BILM_LAYERS)
    context: str = setting(
        NO_CONTEXT,
        help="what else is read of a token: document (the biLM's vectors of its form in the document's other "
        "sentences) or none",
        choices=(NO_CONTEXT, DOCUMENT),
        panel=BILM_LAYERS,
    )
    word_dim: int = setting(
        100, help="size of learned word vectors; 0 = none", at_least=0, at_most=MOST_NUMBERS, panel=WORDS
    )
    char_dim: int = setting(
        25, help="size of character embeddings; 0 = none", at_least=0, at_most=MOST_NUMBERS, panel=WORDS
    )
    char_filters: int = setting(128, help="filters, of width 3", at_least=1, at_most=MOST_NUMBERS, panel=WORDS)
    hidden_dim: int = setting(
        256, help="LSTM units in each direction", flag="--hidden-size", at_least=1, at_most=MOST_NUMBERS, panel=NETWORK
    )
    lstm_layers: int = setting(1, help="stacked LSTMs", at_least=1, at_most=64, panel=NETWORK)
    dropout: float = setting(0.5, help="around the LSTMs", at_least=0, at_most=DROPOUT_MOST, panel=NETWORK)


@dataclass(frozen=True, kw_only=True)
class TaggerOptions(NetworkSettings):
    """What a tagger is made of; enough to build one without weights.

    Attributes:
        tags: the tag set, ``O`` first.
        scheme: its tag scheme.
        n_words: rows of the word table (padding and unknown included); 0 = no word vectors.
        n_tuned_words: so many of them, the first, are learned; the rest stay as the vectors file gave them.
        elmo_dim: numbers in a biLM layer; 0 = no biLM.
        elmo_layers: which biLM layers are read (0 is the token layer).
        char_width: the filters' width in bytes.
    """

    tags: list[str]
    scheme: str = "bioes"
    n_words: int = 0
    n_tuned_words: int = 0
    elmo_dim: int = 0
    elmo_layers: list[int] = field(default_factory=list)
    char_width: int = 3

    @property
    def n_mixed_layers(self) -> int:
        """Layers that arrive at the network: a mean is taken before."""
        return len(self.elmo_layers) if self.mix == LEARNED_MIX else 1

    @property
    def input_dim(self) -> int:
        """Numbers per token that the LSTM reads."""
        words = self.word_dim if self.n_words else 0
        elmo = 0 if self.elmo_at == OUTPUT else self.elmo_dim
        elmo += self.elmo_dim if self.context == DOCUMENT else 0
        return elmo + words + (self.char_filters if self.char_dim else 0)

    @property
    def output_dim(self) -> int:
        """Numbers per token from which the emissions are computed."""
        return 2 * self.hidden_dim + (0 if self.elmo_at == INPUT else self.elmo_dim)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return asdict(self)
