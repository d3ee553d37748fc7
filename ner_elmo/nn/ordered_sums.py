"""Products of float32 matrices whose sums are added up in one order, however many rows there are.

So a sentence's vectors are the same to the bit alone and in any batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional

from ner_elmo.nn.thread_count import threads_for_now

# Products of float32 over no more terms add up from the first to the last, if a thread has ``MANY_ROWS`` rows at least
# (seen with MKL on processors of Intel and AMD); with more terms or fewer rows in an order that depends on the machine
# and on the rows. So longer sums are made of such products, one after the other.
LONGEST_SUM = 128
MANY_ROWS = 4
# A product of fewer columns is computed in another way (seen with MKL on a processor of AMD): it is made wider, and
# what was added is left out again.
MANY_COLUMNS = 16
# Several threads have ``MANY_ROWS`` each for sure, however they share them, if there are so many for each.
ROWS_A_THREAD = 6

Products = list[tuple[Tensor, Tensor]]


@contextmanager
def in_order(n_rows: int) -> Iterator[None]:
    """Products of ``n_rows`` rows, ``MANY_ROWS`` or more, in one thread if they are too few to be shared."""
    n_threads = torch.get_num_threads()
    if n_threads == 1 or n_rows >= ROWS_A_THREAD * n_threads:
        yield
        return
    with threads_for_now(1):
        yield


def in_parts(rows: Tensor, matrix: Tensor, n_first: int = 0) -> Products:
    """``rows @ matrix`` as products of few enough terms each, in the order of :func:`cuts_of`."""
    return [(rows[:, cut], matrix[cut]) for cut in cuts_of(rows.shape[1], n_first)]


def cuts_of(n_terms: int, n_first: int = 0) -> list[slice]:
    """Terms in runs of few enough, in the order in which they are added up: the last ``n_first`` of them, and then the
    others."""
    ranges = (n_terms - n_first, n_terms), (0, n_terms - n_first)
    return [slice(i, min(i + LONGEST_SUM, end)) for start, end in ranges for i in range(start, end, LONGEST_SUM)]


def add_up(bias: Tensor | None, products: Products, out: Tensor) -> None:
    """The sum of the bias and all products, one after the other; of the bias alone where there are none."""
    if not products:
        out.copy_(torch.zeros_like(out) if bias is None else bias.expand_as(out))
        return
    rows, matrix = products[0]
    if (n_columns := matrix.shape[1]) < MANY_COLUMNS:
        wide = out.new_empty(len(out), MANY_COLUMNS)
        add_up(None if bias is None else widened(bias), [(part, widened(matrix)) for part, matrix in products], wide)
        out.copy_(wide[:, :n_columns])
        return
    if bias is None:
        torch.mm(rows, matrix, out=out)
    else:
        torch.addmm(bias, rows, matrix, out=out)
    for rows, matrix in products[1:]:
        out.addmm_(rows, matrix)


def widened(matrix: Tensor) -> Tensor:
    """``matrix`` (..., columns) with columns of zeros behind, if it has fewer than ``MANY_COLUMNS``."""
    missing = MANY_COLUMNS - matrix.shape[-1]
    if missing <= 0:  # torch would copy what lacks nothing
        return matrix
    return functional.pad(matrix, (0, missing))


def product_in_order(bias: Tensor | None, rows: Tensor, matrix: Tensor) -> Tensor:
    """``bias + rows @ matrix`` of any number of rows, each sum added up in one order."""
    n_rows = len(rows)
    if n_rows < MANY_ROWS:
        rows = functional.pad(rows, (0, 0, 0, MANY_ROWS - n_rows))
    out = rows.new_empty(len(rows), matrix.shape[1])
    with in_order(len(rows)):
        add_up(bias, in_parts(rows, matrix), out)
    return out[:n_rows]
