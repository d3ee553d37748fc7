"""How fast each part of the network learns: the schedule, a rate for each layer, and which layers are frozen.

All of it is computed from the steps and tokens that lie behind, so that a resumed run goes on as if nothing had been.
Howard & Ruder 2018 (ULMFiT) §3.2 and §3.3.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import nn

from ner_elmo.bilm.model import BiLm
from ner_elmo.bilm.pretraining.config import PretrainConfig
from ner_elmo.bilm.softmax import Softmax

CUT_SHARE = 0.1  # of the tokens, during which the slanted triangular rate rises (cut_frac)
RATIO = 32.0  # of its highest to its lowest value
FRESH_SOFTMAX_SHARE = 0.05  # of the tokens, during which a new softmax alone is trained, unless steps are given


class Place(NamedTuple):
    """How far training has come, before the next step."""

    step: int
    tokens: int
    total_tokens: int


class Part(NamedTuple):
    """Parameters that share a learning rate and are frozen together.

    ``depth`` is 0 for the softmax and the top LSTM layer (of both directions), and grows down to the token encoder,
    whose ``depth`` is ``deepest``.
    """

    name: str
    depth: int
    deepest: int
    parameters: list[nn.Parameter]

    @property
    def is_softmax(self) -> bool:
        return self.name == "softmax"


def parts_of_network(model: BiLm, softmax: Softmax) -> list[Part]:
    """The softmax, the LSTM layers from above, the token encoder; less what is not learned.

    A word table that is also the softmax's weights belongs to the softmax.
    """
    stacks = (model.forward_lstm.layers, model.backward_lstm.layers)
    n_layers = len(stacks[0])
    modules: list[tuple[str, int, list[nn.Module]]] = [("softmax", 0, [softmax])]
    modules += [
        (f"layer {n_layers - depth}", depth, [layers[n_layers - 1 - depth] for layers in stacks])
        for depth in range(n_layers)
    ]
    modules.append(("token encoder", n_layers, [model.token_encoder]))
    parts, seen = [], set[int]()
    for name, depth, members in modules:
        parameters = [p for p in nn.ModuleList(members).parameters() if p.requires_grad and id(p) not in seen]
        seen.update(map(id, parameters))
        if parameters:
            parts.append(Part(name, depth, n_layers, parameters))
    return parts


def learns_by_parts(config: PretrainConfig, softmax_is_fresh: bool) -> bool:
    """Whether not all parameters learn at the same rate all the time."""
    softmax_first = softmax_is_fresh if config.softmax_steps is None else config.softmax_steps > 0
    return config.layer_decay != 1.0 or config.unfreeze > 0 or softmax_first


def learning_rate(config: PretrainConfig, place: Place) -> float:
    """The rate of the top layer."""
    return SCHEDULES[config.schedule](config, place)


def _slanted(config: PretrainConfig, place: Place) -> float:
    """With t of T tokens seen, cut = T · cut_frac and p = t / cut up to there, 1 - (t - cut) / (T - cut) from there on,
    η = η_max · (1 + p · (ratio - 1)) / ratio (Howard & Ruder 2018, eq. 3)."""
    seen = min(1.0, place.tokens / place.total_tokens)
    p = seen / CUT_SHARE if seen < CUT_SHARE else 1.0 - (seen - CUT_SHARE) / (1.0 - CUT_SHARE)
    return config.learning_rate * (1.0 + p * (RATIO - 1.0)) / RATIO


def _linear(config: PretrainConfig, place: Place) -> float:
    """A warm-up, a constant stretch, and a fall to zero over the last ``decay_share`` of the tokens."""
    warm = min(1.0, (place.step + 1) / _warm_up(config, place))
    left = max(0.0, 1.0 - place.tokens / place.total_tokens)
    return config.learning_rate * warm * min(1.0, left / max(config.decay_share, 1e-9))


# What the words of the setting ``schedule`` mean.
SCHEDULES = {"linear": _linear, "slanted": _slanted}


def rate_factor(config: PretrainConfig, part: Part, place: Place, softmax_is_fresh: bool) -> float:
    """By what the rate is multiplied for ``part``, 0 while it is frozen: ``layer_decay`` to the power of -``depth``.

    A part that joins later warms up then, as Adam's first steps are as long as its rate allows.
    """
    factor = config.layer_decay**-part.depth
    waits = _steps_since_opening(config, part, place, softmax_is_fresh)
    if not waits:
        return factor
    steps = min(waits)
    return factor * min(1.0, (steps + 1) / _warm_up(config, place)) if steps >= 0 else 0.0


def _steps_since_opening(config: PretrainConfig, part: Part, place: Place, softmax_is_fresh: bool) -> list[float]:
    """Steps (negative: to go) since each event that ``part`` waits for: the softmax is trained; its turn has come."""
    waits: list[float] = []
    if not part.is_softmax:
        if config.softmax_steps:
            waits.append(place.step - config.softmax_steps)
        elif softmax_is_fresh and config.softmax_steps is None:
            waits.append((place.tokens - FRESH_SOFTMAX_SHARE * place.total_tokens) / config.batch_tokens)
    if part.depth and config.unfreeze:
        turn = config.unfreeze * part.depth / part.deepest * place.total_tokens
        waits.append((place.tokens - turn) / config.batch_tokens)
    return waits


def _warm_up(config: PretrainConfig, place: Place) -> int:
    """Steps to warm up; fewer in short runs."""
    return max(1, min(config.warmup_steps, place.total_tokens // config.batch_tokens // 10))


def describe_rates(config: PretrainConfig, parts: list[Part], total_tokens: int, softmax_is_fresh: bool) -> str:
    """The highest rate of each part, and from when on it learns, for the log."""
    lines = []
    for part in parts:
        since = []
        if not part.is_softmax and config.softmax_steps:
            since.append(f"step {config.softmax_steps:,}")
        elif not part.is_softmax and softmax_is_fresh and config.softmax_steps is None:
            since.append(f"{round(FRESH_SOFTMAX_SHARE * total_tokens):,} tokens")
        if part.depth and config.unfreeze:
            since.append(f"{round(config.unfreeze * part.depth / part.deepest * total_tokens):,} tokens")
        rate = config.learning_rate * config.layer_decay**-part.depth
        lines.append(f"{part.name} {rate:.2g}" + (f" from {' and '.join(since)} on" if since else ""))
    return "learning rates: " + ", ".join(lines)
