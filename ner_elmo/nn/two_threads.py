"""Two jobs at once on a CPU, each with half of torch's threads.

The two directions of a biLM share nothing. A core that has one of them to itself never waits for the others at the end
of a product, and products of so few terms as an LSTM's divide badly.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from ner_elmo.nn.thread_count import threads_for_now

T = TypeVar("T")


def at_once(first: Callable[[], T], second: Callable[[], T]) -> tuple[T, T]:
    """What both return; one after the other where torch has a single thread. Whatever one of them raises is raised."""
    n_threads = torch.get_num_threads()
    if n_threads < 2:
        return first(), second()
    keeps_gradients, is_inference = torch.is_grad_enabled(), torch.is_inference_mode_enabled()

    def beside() -> T:  # a new thread begins with torch's defaults
        torch.set_num_threads(n_threads // 2)
        with torch.inference_mode(is_inference), torch.set_grad_enabled(keeps_gradients):
            return second()

    with threads_for_now(n_threads - n_threads // 2), ThreadPoolExecutor(1) as pool:
        other = pool.submit(beside)
        return first(), other.result()
