"""How long a tagger is trained, in batches of what size, and at what learning rates: what follows from the number of
training sentences where nothing else is asked for.

A run of few steps at a rate that falls to 0 reaches what one of many steps at a rate that waits for dev reaches
(docs/accuracy.md). It has to know its last step from the beginning.
"""

from __future__ import annotations

PLATEAU, LINEAR = "plateau", "linear"

PLATEAU_EPOCHS = 50
PLATEAU_PATIENCE = 8

# Of a linear run. Few sentences need small batches, and more epochs: what counts is the number of steps.
STEPS = 1600
LEAST_EPOCHS, MOST_EPOCHS = 8, 60
WITHOUT_BILM = 2  # times as many steps, and epochs at least: all that a biLM knows is to be learned
LEAST_BATCH, MOST_BATCH = 8, 64
BATCHES = 40  # in an epoch, at least, unless batches would be smaller than LEAST_BATCH
TOKENS_OF_SENTENCE = 64  # most tokens of a batch, for each of its sentences
WARM_UP = 0.05  # the share of all steps during which the rate rises


def batch_for(n_sentences: int) -> int:
    """Sentences of a batch: a power of two."""
    size = MOST_BATCH
    while size > LEAST_BATCH and size * BATCHES > n_sentences:
        size //= 2
    return size


def epochs_for(n_sentences: int, batch_sentences: int, schedule: str, has_bilm: bool = True) -> int:
    """As many epochs as have about ``STEPS`` steps, within bounds; a plateau's end is found on dev."""
    if schedule == PLATEAU:
        return PLATEAU_EPOCHS
    times = 1 if has_bilm else WITHOUT_BILM
    steps_of_epoch = max(1, -(-n_sentences // batch_sentences))
    return min(MOST_EPOCHS, max(times * LEAST_EPOCHS, -(-times * STEPS // steps_of_epoch)))


def linear_factor(done: float) -> float:
    """What the learning rate is multiplied by when the share ``done`` of all steps (0 to 1) lies behind: it rises to 1
    in a line, and then falls to 0 in another."""
    return min(done / WARM_UP, (1 - done) / (1 - WARM_UP))
