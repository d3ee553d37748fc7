"""What a tagger's network is made of: enough to build one without weights. No tensor is met here."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ner_elmo.errors import one_line, shown_value
from ner_elmo.settings import SettingError, check, setting
from ner_elmo.text.characters import N_CHARACTERS
from ner_elmo.text.tag_scheme import SCHEMES, TOKEN, labels_of, tag_set

LEARNED_MIX = "learned"
MEAN_MIX = "mean"
INPUT, OUTPUT, BOTH = "input", "output", "both"  # where biLM layers come in
DROPOUT_MOST = 0.95
MOST_NUMBERS = 65_536  # in a vector: of this network, more are a mistake
MOST_WORDS = 1 << 31

NO_CONTEXT, DOCUMENT, TWICE = "none", "document", "document-twice"
FOLDED, EXACT = "folded", "exact"
MEAN_LAYER, TOP_LAYER = "mean", "top"

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
    elmo_dropout: float = setting(0.2, help="on the mixed layers", at_least=0, at_most=DROPOUT_MOST, panel=BILM_LAYERS)
    context: str = setting(
        NO_CONTEXT,
        help="what else is read of a token: document (the biLM's vectors of its form in the document's other "
        "sentences), document-twice (that, and in a second pass what names were found to be there), or none",
        choices=(NO_CONTEXT, DOCUMENT, TWICE),
        panel=BILM_LAYERS,
    )
    context_forms: str = setting(
        FOLDED,
        help="which forms are the same in a document: folded (without regard to capitals), or exact",
        choices=(FOLDED, EXACT),
        panel=BILM_LAYERS,
    )
    context_layers: str = setting(
        MEAN_LAYER,
        help="what is read of the document's tokens: the mean of the biLM's layers, or its top one",
        choices=(MEAN_LAYER, TOP_LAYER),
        panel=BILM_LAYERS,
    )
    context_window: int | None = setting(
        None,
        help="how many sentences before and after one are looked at; with it a file that marks no documents is running "
        "text, and may be learned from",
        at_least=1,
        by_default="all of the document",
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
    dropout: float = setting(0.4, help="around the LSTMs", at_least=0, at_most=DROPOUT_MOST, panel=NETWORK)

    @property
    def reads_running_text(self) -> bool:
        """Whether a file that marks no documents has context: from the sentences around each."""
        return self.context != NO_CONTEXT and self.context_window is not None


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
    def reads_documents(self) -> bool:
        """Whether a sentence's tags depend on the other sentences of its document."""
        return self.context != NO_CONTEXT

    @property
    def context_reading(self) -> tuple[bool, int | None, bool]:
        """How contexts are made: whether forms are the same that differ in capitals alone, the window, and whether the
        top layer is read in place of the layers' mean."""
        return self.context_forms == FOLDED, self.context_window, self.context_layers == TOP_LAYER

    @property
    def passes_twice(self) -> bool:
        """Whether there is a second pass over each document (:mod:`ner_elmo.tagger.agreement`)."""
        return self.context == TWICE

    @property
    def input_dim(self) -> int:
        """Numbers per token that the LSTM reads."""
        elmo = 0 if self.elmo_at == OUTPUT else self.elmo_dim
        elmo += self.elmo_dim if self.reads_documents else 0
        return elmo + self.form_dim

    @property
    def form_dim(self) -> int:
        """Those of them that a token's form alone gives: its word vector and its spelling."""
        return (self.word_dim if self.n_words else 0) + (self.char_filters if self.char_dim else 0)

    @property
    def output_dim(self) -> int:
        """Numbers per token from which the emissions are computed."""
        return 2 * self.hidden_dim + (0 if self.elmo_at == INPUT else self.elmo_dim)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return asdict(self)


def weight_shapes(options: TaggerOptions) -> dict[str, tuple[int, ...]]:
    """The shape of every weight of a network but the word table, by its name in the network's state."""
    shapes: dict[str, tuple[int, ...]] = {}
    if options.elmo_dim and options.mix == LEARNED_MIX:
        for mix in [
            *([] if options.elmo_at == OUTPUT else ["mix"]),
            *([] if options.elmo_at == INPUT else ["output_mix"]),
        ]:
            shapes[f"{mix}.weights"] = (options.n_mixed_layers,)
            if options.gamma:
                shapes[f"{mix}.gamma"] = ()
    if options.char_dim:
        shapes["characters.embedding.weight"] = (N_CHARACTERS, options.char_dim)
        shapes["characters.convolution.weight"] = (options.char_filters, options.char_dim, options.char_width)
        shapes["characters.convolution.bias"] = (options.char_filters,)
    gates, n_inputs = 4 * options.hidden_dim, options.input_dim
    for number in range(options.lstm_layers):
        for direction in ("forwards", "backwards"):
            shapes[f"lstm.{direction}.{number}.weight_ih_l0"] = (gates, n_inputs)
            shapes[f"lstm.{direction}.{number}.weight_hh_l0"] = (gates, options.hidden_dim)
            shapes[f"lstm.{direction}.{number}.bias_ih_l0"] = (gates,)
            shapes[f"lstm.{direction}.{number}.bias_hh_l0"] = (gates,)
        n_inputs = 2 * options.hidden_dim
    n_tags = len(options.tags)
    shapes["output.weight"], shapes["output.bias"] = (n_tags, options.output_dim), (n_tags,)
    shapes["crf.crf.start_transitions"] = shapes["crf.crf.end_transitions"] = (n_tags,)
    shapes["crf.crf.transitions"] = (n_tags, n_tags)
    return shapes


def parse_options(values: Any) -> TaggerOptions:
    """Options as a file of a stranger has them.

    Raises:
        ValueError: a key is unknown, missing or has a value that no tagger has; the message names it.
    """
    if not isinstance(values, dict):
        raise ValueError(f"options: found {shown_value(values)}, expected an object")
    if unknown := sorted(set(values) - {field.name for field in fields(TaggerOptions)}):
        # A later version's would change the network.
        raise ValueError(f"unknown options {one_line(', '.join(unknown))}")
    _check_own(values)
    named: dict[str, Any] = {
        "context_forms": EXACT,
        "context_layers": MEAN_LAYER,
    } | values  # as taggers did that do not say
    try:
        options = TaggerOptions(**named)
        check(options)
    except SettingError as error:
        raise ValueError(f"options.{error.key}: {error.problem}") from None
    if options.tags != tag_set(labels_of(options.tags, options.scheme), options.scheme):
        raise ValueError(f"options.tags: they are not those of the scheme {options.scheme}")
    return options


def _check_own(values: dict[str, Any]) -> None:
    """Hold those options that are no settings to their types and to one another."""
    tags, layers, n_words = values.get("tags"), values.get("elmo_layers", []), values.get("n_words", 0)
    n_tuned, dim = values.get("n_tuned_words", 0), values.get("elmo_dim", 0)
    mix, width, scheme = values.get("mix", LEARNED_MIX), values.get("char_width", 3), values.get("scheme", "bioes")
    has_layers = isinstance(layers, list) and all(_is_number(layer, 0, 1000) for layer in layers)
    checks = (
        ("tags", tags, _are_tags(tags), "a list of different tags"),
        ("scheme", scheme, scheme in (*SCHEMES, TOKEN), f"one of {', '.join((*SCHEMES, TOKEN))}"),
        ("mix", mix, mix in (LEARNED_MIX, MEAN_MIX), f"{LEARNED_MIX} or {MEAN_MIX}"),
        ("n_words", n_words, _is_number(n_words, 0, MOST_WORDS), "a whole number"),
        ("n_tuned_words", n_tuned, _is_number(n_tuned, min(2, n_words), n_words), "a part of the words, or all"),
        ("elmo_dim", dim, _is_number(dim, 0, 2 * MOST_NUMBERS), "a whole number"),
        ("elmo_layers", layers, has_layers and len({*layers}) == len(layers), "numbers of layers, each once"),
        ("elmo_layers", layers, bool(layers) == bool(dim), "some where elmo_dim is not 0, and else none"),
        ("char_width", width, _is_number(width, 1, 64), "a whole number from 1 to 64"),
    )
    for key, value, is_sound, wanted in checks:
        if not is_sound:
            raise ValueError(f"options.{key}: found {shown_value(value)}, expected {wanted}")


def _is_number(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _are_tags(value: Any) -> bool:
    return (
        isinstance(value, list)
        and all(isinstance(tag, str) and tag for tag in value)
        and 0 < len(set(value)) == len(value)
    )
