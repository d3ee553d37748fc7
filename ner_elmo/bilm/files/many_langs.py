"""Models of ELMoForManyLangs (Che et al. 2018): another format for the same kind of network (docs/elmo-format.md §10).

Tokens are rows of *characters* (code points looked up in ``char.dic``), not bytes, and may have a word vector beside
their character CNN. A row here is ``[word id, character ids …]``, so that one tensor says all of a token.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ner_elmo.bilm.lstm import FORGET_BIAS
from ner_elmo.bilm.model import BiLm
from ner_elmo.bilm.options import BilmOptions, CharCnnOptions, parse_options
from ner_elmo.bilm.token_encoder import CharacterCnn, TokenEncoder
from ner_elmo.errors import ModelError, one_line, shown_value
from ner_elmo.text.files import json_of, read_lines, require_file
from ner_elmo.text.vocabulary import Vocabulary

CONFIG, CHARACTERS, WORDS = "config.json", "char.dic", "word.dic"
TOKEN_EMBEDDER, ENCODER, CLASSIFIER = "token_embedder.pkl", "encoder.pkl", "classifier.pkl"
BEGIN_SENTENCE, END_SENTENCE, UNKNOWN, PADDING = "<bos>", "<eos>", "<oov>", "<pad>"
# Its code exchanges the two names: a row starts with <eow> and ends with <bow>.
ROW_START, ROW_END = "<eow>", "<bow>"
_MOST = 1 << 20  # numbers in a vector; what is above was never meant
IDEOGRAPHIC_SPACE = "\u3000"


class Lexicons(NamedTuple):
    """Ids of characters and words; an empty one where the model has no such part."""

    characters: Mapping[str, int]
    words: Mapping[str, int]
    max_characters: int

    def rows(self, tokens: Sequence[str]) -> Tensor:
        """``(len(tokens), 1 + max_characters)`` int64: the word's id, then the characters'."""
        rows = torch.zeros(len(tokens), 1 + self.max_characters, dtype=torch.long)
        if self.characters:
            rows[:, 1:] = self.characters[PADDING]
        for row, token in zip(rows, tokens, strict=True):
            spelled = token[: self.max_characters - 2]  # the cut word is also the one that is looked up
            if self.words:
                row[0] = self.words.get(spelled, self.words[UNKNOWN])
            if self.characters:
                ids = self._spelling(spelled)
                row[1 : 1 + len(ids)] = torch.tensor(ids)
        return rows

    def _spelling(self, token: str) -> list[int]:
        letters = [token] if token in (BEGIN_SENTENCE, END_SENTENCE) else list(token)
        unknown = self.characters[UNKNOWN]
        ids = [self.characters.get(letter, unknown) for letter in letters]
        return [self.characters[ROW_START], *ids, self.characters[ROW_END]]


class ManyLangsEncoder(TokenEncoder):
    """``projection([word vector; highway(CNN(characters))])``, either part possibly absent."""

    def __init__(self, cnn: CharCnnOptions | None, lexicons: Lexicons, word_dim: int, projection_dim: int) -> None:
        super().__init__()
        self.lexicons = lexicons
        self.words = nn.Embedding(len(lexicons.words), word_dim) if lexicons.words else None
        self.cnn = None
        if cnn is not None:
            self.cnn = CharacterCnn(cnn, cnn.n_filters, len(lexicons.characters), lexicons.characters[PADDING])
        self.projection = nn.Linear(word_dim + (cnn.n_filters if cnn else 0), projection_dim)

    def rows_of(self, tokens: Sequence[str], vocabulary: Vocabulary | None = None) -> Tensor:
        """By the model's own lexicons (:meth:`Lexicons.rows`)."""
        return self.lexicons.rows(tokens)

    def forward(self, rows: Tensor) -> Tensor:
        """``(n, 1 + max_characters)`` rows of :meth:`Lexicons.rows` to token vectors ``(n, projection_dim)``."""
        parts = []
        if self.words is not None:
            parts.append(self.words(rows[:, 0]))
        if self.cnn is not None:
            parts.append(self.cnn(rows[:, 1:]))
        return self.projection(torch.cat(parts, dim=1))  # type: ignore[no-any-return]


def is_many_langs(folder: Path) -> bool:
    """Whether a folder looks like a model of ELMoForManyLangs."""
    return (folder / ENCODER).is_file() and (folder / TOKEN_EMBEDDER).is_file()


def read_many_langs(folder: Path) -> BiLm:
    """Build the network of a model directory with its weights.

    Raises:
        ModelError: a file is missing, damaged, or of a kind that is not supported; the message names it.
    """
    options, word_dim = read_many_langs_options(folder)
    cnn = options.char_cnn
    lexicons = Lexicons(
        _read_lexicon(folder / CHARACTERS, ROW_START, ROW_END, PADDING) if cnn else {},
        _read_lexicon(folder / WORDS) if word_dim else {},
        options.max_characters,
    )
    try:
        model = BiLm(options, token_encoder=ManyLangsEncoder(cnn, lexicons, word_dim, options.lstm.projection_dim))
    except (MemoryError, RuntimeError) as error:  # the sizes are claims; nothing of the weights is read yet
        raise ModelError(
            f"{folder}: its configuration implies a network that has no room ({one_line(str(error))})"
        ) from None
    _load_state(model, folder)
    return model


def read_many_langs_options(folder: Path) -> tuple[BilmOptions, int]:
    """The network of a model directory, and the width of its word vectors (0: it has none).

    Raises:
        ModelError: as :func:`read_many_langs`.
    """
    path = _model_config(folder)
    values = _read_json(path)
    try:
        embedder, encoder = dict(values["token_embedder"]), dict(values["encoder"])
        word_dim, char_dim = int(embedder.get("word_dim", 0)), int(embedder.get("char_dim", 0))
        kinds = (encoder["name"], embedder["name"])
    except (KeyError, OverflowError, TypeError, ValueError) as error:
        raise ModelError(f"{path}: not a model configuration of ELMoForManyLangs ({shown_value(error)})") from None
    if not 0 <= word_dim <= _MOST or not 0 <= char_dim <= _MOST:
        raise ModelError(f"{path}: found word_dim {word_dim} and char_dim {char_dim}, expected sizes of vectors")
    if kinds != ("elmo", "cnn"):
        found = f"found encoder {shown_value(kinds[0])} and token embedder {shown_value(kinds[1])}"
        raise ModelError(f"{path}: {found}, expected elmo and cnn")
    if not word_dim and not char_dim:
        raise ModelError(f"{path}: found word_dim 0 and char_dim 0, expected tokens to have words or characters")
    named_as_published = {
        "lstm": {**encoder, "use_skip_connections": True},
        "char_cnn": {**embedder, "embedding": {"dim": char_dim}} if char_dim else None,
    }
    options = parse_options(named_as_published, str(path))
    if not options.lstm.has_projection:  # theirs would project all the same; the published format would not
        raise ModelError(f"{path}: found dim and projection_dim {options.lstm.dim}, expected two different numbers")
    return options, word_dim


def _model_config(folder: Path) -> Path:
    """The file that ``config_path`` names: below the folder as it says, or by its last part."""
    config = folder / CONFIG
    named = str(_read_json(config).get("config_path", ""))
    for candidate in (folder / named, folder / Path(named.replace("\\", "/")).name):
        if named and candidate.is_file() and folder.resolve() in candidate.resolve().parents:
            return candidate
    raise ModelError(f"{config}: config_path is {named!r}, which is not in {folder}; put that file beside it")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json_of(require_file(path, "model file"))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: not a JSON file ({one_line(str(error))})") from None
    if not isinstance(values, dict):
        raise ModelError(f"{path}: found {type(values).__name__}, expected a JSON object")
    return values


def _read_lexicon(path: Path, *needed: str) -> dict[str, int]:
    ids: dict[str, int] = {}
    for number, line in enumerate(read_lines(require_file(path, "model file")), start=1):
        fields = line.strip().split("\t")
        if fields == [""]:
            continue
        token = fields[0] if len(fields) > 1 else IDEOGRAPHIC_SPACE  # which strip() takes away
        if not fields[-1].isdecimal():
            raise ModelError(f"{path}:{number}: found {line!r}, expected a token, a tab and its number")
        ids[token] = int(fields[-1])
    if max(ids.values(), default=0) >= len(ids):
        raise ModelError(
            f"{path}: found number {max(ids.values())} among {len(ids)} tokens, expected 0 to {len(ids) - 1}"
        )
    missing = {UNKNOWN, BEGIN_SENTENCE, END_SENTENCE, *needed} - ids.keys()
    if missing:
        raise ModelError(f"{path}: found no line {sorted(missing)[0]}")
    return ids


def _load_state(model: BiLm, folder: Path) -> None:
    tokens, layers = _read_state(folder / TOKEN_EMBEDDER), _read_state(folder / ENCODER)
    state: dict[str, Tensor] = {}
    encoder = model.token_encoder
    assert isinstance(encoder, ManyLangsEncoder)
    try:
        if encoder.words is not None:
            state["token_encoder.words.weight"] = tokens["word_emb_layer.embedding.weight"]
        if encoder.cnn is not None:
            state |= _cnn_state(tokens, encoder.cnn)
        for part in ("weight", "bias"):
            state[f"token_encoder.projection.{part}"] = tokens[f"projection.{part}"]
        for direction in ("forward", "backward"):
            for layer in range(model.options.lstm.n_layers):
                state |= _lstm_state(layers, f"{direction}_layer_{layer}", f"{direction}_lstm.layers.{layer}.lstm")
    except KeyError as error:
        raise ModelError(f"{folder}: found no weights {error}") from None
    _refuse_surplus(model.options, {TOKEN_EMBEDDER: tokens, ENCODER: layers}, folder)
    _copy_state(model, state, folder)


def _refuse_surplus(options: BilmOptions, parts: Mapping[str, Mapping[str, Tensor]], folder: Path) -> None:
    """A larger network's weights would otherwise be read in part, and give other vectors without a word."""
    cnn = options.char_cnn
    most = {
        "convolutions": len(cnn.filters) if cnn else 0,
        "highways._layers": cnn.n_highway if cnn else 0,
        "forward_layer": options.lstm.n_layers,
        "backward_layer": options.lstm.n_layers,
    }
    for file, weights in parts.items():
        for name, value in weights.items():
            numbered = re.match(r"(convolutions|highways\._layers|forward_layer|backward_layer)[._](\d+)\.", name)
            if numbered and int(numbered[2]) >= most[numbered[1]]:
                shape = tuple(value.shape)
                raise ModelError(
                    f"{folder / file}: {name}: found shape {shape}, but the configuration implies no such weights"
                )


def _cnn_state(tokens: Mapping[str, Tensor], cnn: CharacterCnn) -> dict[str, Tensor]:
    prefix = "token_encoder.cnn"
    state = {f"{prefix}.characters.weight": tokens["char_emb_layer.embedding.weight"]}
    for i in range(len(cnn.convolutions)):
        for part in ("weight", "bias"):
            state[f"{prefix}.convolutions.{i}.{part}"] = tokens[f"convolutions.{i}.{part}"]
    for k in range(len(cnn.highways)):
        for part in ("weight", "bias"):
            # Rows: the transformation, then the gate of what is *kept*; ours is the gate of what is transformed.
            transform, keep = tokens[f"highways._layers.{k}.{part}"].chunk(2)
            state[f"{prefix}.highways.{k}.transform.{part}"] = transform
            state[f"{prefix}.highways.{k}.carry.{part}"] = -keep
    return state


def _lstm_state(layers: Mapping[str, Tensor], theirs: str, ours: str) -> dict[str, Tensor]:
    bias = layers[f"{theirs}.state_linearity.bias"].clone()
    bias.chunk(4)[1].sub_(FORGET_BIAS)  # theirs includes it; the order of gates is torch's already
    return {
        f"{ours}.weight_ih_l0": layers[f"{theirs}.input_linearity.weight"],
        f"{ours}.weight_hh_l0": layers[f"{theirs}.state_linearity.weight"],
        f"{ours}.bias_ih_l0": bias,
        f"{ours}.weight_hr_l0": layers[f"{theirs}.state_projection.weight"],
    }


def _read_state(path: Path) -> Mapping[str, Tensor]:
    try:
        state = torch.load(require_file(path, "model file"), map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged or foreign file makes of torch.load
        raise ModelError(f"{path}: not weights that can be read safely ({type(error).__name__})") from None
    if not isinstance(state, Mapping):
        raise ModelError(f"{path}: found {type(state).__name__}, expected named weights")
    return state


def _copy_state(model: BiLm, state: Mapping[str, Tensor], folder: Path) -> None:
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, value in state.items():
            if parameters[name].shape != value.shape:
                found, implied = tuple(value.shape), tuple(parameters[name].shape)
                raise ModelError(f"{folder}: {name}: found shape {found}, but the configuration implies {implied}")
            if not torch.isfinite(value).all():
                raise ModelError(f"{folder}: {name}: found numbers that are NaN or infinite, expected none")
            parameters[name].copy_(value)
