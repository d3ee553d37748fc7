"""Size, vocabulary and epochs where nobody chose them: from the text's size and the device, each with its reason."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from ner_elmo.bilm.options import options_to_json, size
from ner_elmo.bilm.pretraining.config import PretrainConfig
from ner_elmo.nn.precision import best_precision

LITTLE_TEXT = 5_000_000  # tokens below which starting from another model (--init) is the better way
MEDIUM_TEXT = (
    50_000_000  # tokens from which the medium size has about 20 tokens to see for each parameter, in 10 epochs
)
LARGE_TEXT = 200_000_000  # likewise the original size
FREQUENT = 10  # times that a word has to be seen for its output weights to be worth training
VOCABULARY_LEAST = 10_000
VOCABULARY_MOST = {"cpu": 50_000, "cuda": 200_000}
EPOCHS_MOST = 10  # as published
# Held-out tokens for perplexity on the way, whose exact softmax takes longer than a training step of as many tokens:
# a hundredth of what is trained on, within these bounds.
HELDOUT_LEAST, HELDOUT_MOST = 10_000, 60_000
CPU_HOURS = 12
CPU_SPEED = {"fp32": 2_000, "bf16": 5_000}  # tokens/s of the compact size on one core


class Choice(NamedTuple):
    """A setting and why."""

    value: str | int
    reason: str


class Recommendation(NamedTuple):
    size: Choice
    vocabulary: Choice
    epochs: Choice


def recommended(n_tokens: int, n_frequent: int, device: str, cores: int = 1, precision: str = "fp32") -> Recommendation:
    """What to train on a text.

    Args:
        n_tokens: tokens of the text.
        n_frequent: types that occur ``FREQUENT`` times or more in it.
        device: ``cpu`` or ``cuda``.
        cores: CPU cores to train on.
        precision: ``fp32`` or ``bf16``.
    """
    epochs = _epochs(n_tokens, device, cores, CPU_SPEED[precision])
    return Recommendation(_size(n_tokens, device), _vocabulary(n_frequent, device), epochs)


def _size(n_tokens: int, device: str) -> Choice:
    if device == "cpu":
        return Choice("compact", "what a CPU trains in hours")
    for name, least in (("original", LARGE_TEXT), ("medium", MEDIUM_TEXT)):
        if n_tokens >= least:
            return Choice(name, f"{n_tokens:,} tokens, {least:,} or more")
    return Choice("small", f"{n_tokens:,} tokens, fewer than {MEDIUM_TEXT:,}")


def _vocabulary(n_frequent: int, device: str) -> Choice:
    most = VOCABULARY_MOST[device]
    seen = f"{n_frequent:,} words occur {FREQUENT} times or more"
    if n_frequent > most:
        return Choice(most, f"{seen}; at most {most:,} on {'a CPU' if device == 'cpu' else 'a GPU'}")
    if n_frequent < VOCABULARY_LEAST:
        return Choice(VOCABULARY_LEAST, f"{seen}; at least {VOCABULARY_LEAST:,}")
    return Choice(-(-n_frequent // 1000) * 1000, seen)


def _epochs(n_tokens: int, device: str, cores: int, speed: int) -> Choice:
    if device != "cpu":
        return Choice(EPOCHS_MOST, "as published for ELMo; the best model on held-out text is kept")
    affordable = CPU_HOURS * 3600 * speed * cores // max(1, n_tokens)
    if affordable >= EPOCHS_MOST:
        return Choice(EPOCHS_MOST, "as published for ELMo; the best model on held-out text is kept")
    hours = max(1, affordable) * n_tokens / (3600 * speed * cores)
    return Choice(max(1, affordable), f"about {hours:,.0f} hours on this CPU, at {speed:,} tokens/s a core")


def settle(
    config: PretrainConfig, n_tokens: int, n_frequent: int, device: str, cores: int, vocabulary_is_open: bool = True
) -> tuple[PretrainConfig, list[str]]:
    """Fill what ``config`` leaves open; most arguments are those of :func:`recommended`.

    Args:
        vocabulary_is_open: it has no words yet, unless ``config`` names a file.

    Returns:
        The settled configuration, and a line for each setting that was chosen here.
    """
    lines = []
    if config.precision == "auto":
        config = replace(config, precision=best_precision(device))
        if config.precision != "fp32":
            lines.append(f"--precision {config.precision} (this {'processor' if device == 'cpu' else 'GPU'} has it)")
    choice = recommended(n_tokens, n_frequent, device, cores, config.precision)
    if config.options is None:
        config = replace(config, options=options_to_json(size(str(choice.size.value))))
        lines.append(f"--size {choice.size.value} ({choice.size.reason})")
    if config.vocabulary_size is None and config.vocabulary is None and vocabulary_is_open:
        config = replace(config, vocabulary_size=int(choice.vocabulary.value))
        lines.append(f"--vocab-size {choice.vocabulary.value} ({choice.vocabulary.reason})")
    if config.epochs is None:
        config = replace(config, epochs=int(choice.epochs.value))
        lines.append(f"--epochs {choice.epochs.value} ({choice.epochs.reason})")
    if config.heldout_tokens is None:
        share = config.tokens_to_train_on(n_tokens) // 100
        config = replace(config, heldout_tokens=min(HELDOUT_MOST, max(HELDOUT_LEAST, share)))
    return config, lines


def advice(config: PretrainConfig, n_tokens: int) -> str | None:
    """What to do about little text."""
    if config.init is not None or n_tokens >= LITTLE_TEXT:
        return None
    return (
        f"{n_tokens:,} tokens are little to learn a language from: with fewer than {LITTLE_TEXT:,} go on from a model "
        "of the same language, --init BILM (such as models/en)"
    )
