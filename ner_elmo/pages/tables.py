"""The tables of a page alone, for other programs: as CSV, or for a paper in LaTeX (booktabs)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from ner_elmo.pages.page import Block, Paragraph, Table

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "−": r"$-$",
    "±": r"$\pm$",
    "<": r"$<$",
    ">": r"$>$",
    "–": "--",
    "→": r"$\rightarrow$",
} | {sign: f"\\{sign}" for sign in "&%$#_{}"}
_ONLY_TEXT = ("=", "@", "\t", "\r")  # what a spreadsheet would take for a formula; + and - begin figures here


def to_csv(blocks: Iterable[Block]) -> str:
    """The tables, one after the other with a blank line between (RFC 4180, but for its line ends)."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    for number, table in enumerate(_tables(blocks)):
        if number:
            writer.writerow([])
        writer.writerows([[_cell(cell) for cell in row] for row in (table.header, *table.rows)])
    return stream.getvalue()


def _cell(words: str) -> str:
    return f"'{words}" if words.startswith(_ONLY_TEXT) else words


def to_latex(blocks: Iterable[Block]) -> str:
    r"""The tables, each as a ``tabular`` with booktabs' rules; paragraphs as comments before the one they introduce."""
    parts = ["% needs \\usepackage{booktabs}"]
    for block in blocks:
        if isinstance(block, Paragraph):
            parts.append("\n".join(f"% {line}" for line in block.words.splitlines()))
        elif isinstance(block, Table):
            parts.append(_tabular(block))
    return "\n\n".join(parts) + "\n"


def _tabular(table: Table) -> str:
    columns = "l" + ("l" if table.is_words else "r") * (len(table.header) - 1)
    lines = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", _row(table.header), r"\midrule"]
    lines += [*map(_row, table.rows), r"\bottomrule", r"\end{tabular}"]
    return "\n".join(([f"% {table.caption}"] if table.caption else []) + lines)


def _row(cells: Sequence[str]) -> str:
    return " & ".join(map(escape_latex, cells)) + r" \\"


def escape_latex(words: str) -> str:
    """Words that mean nothing to LaTeX, on one line."""
    return "".join(_LATEX.get(sign, sign) for sign in " ".join(words.split()))


def _tables(blocks: Iterable[Block]) -> list[Table]:
    return [block for block in blocks if isinstance(block, Table)]
