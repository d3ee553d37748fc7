"""Tables for other programs, read back by those: csv, and LaTeX's rules for signs."""

from __future__ import annotations

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from ner_elmo.pages.page import Heading, Paragraph, Table
from ner_elmo.pages.tables import escape_latex, to_csv, to_latex

BLOCKS = [
    Paragraph("How to read it:\n50 % of it."),
    Table(["run", "F1"], [["a & b", "90.10 ± 0.20"], ["=cmd()", "+1.00"]]),
    Heading("More"),
    Table(["run", "notes"], [["a", "x_1"]], "What differs", is_words=True),
]


def test_csv_has_each_table() -> None:
    assert list(csv.reader(io.StringIO(to_csv(BLOCKS)))) == [
        ["run", "F1"],
        ["a & b", "90.10 ± 0.20"],
        ["'=cmd()", "+1.00"],
        [],
        ["run", "notes"],
        ["a", "x_1"],
    ]


def test_latex() -> None:
    assert to_latex(BLOCKS) == (
        "% needs \\usepackage{booktabs}\n\n% How to read it:\n% 50 % of it.\n\n"
        "\\begin{tabular}{lr}\n\\toprule\nrun & F1 \\\\\n\\midrule\n"
        "a \\& b & 90.10 $\\pm$ 0.20 \\\\\n=cmd() & +1.00 \\\\\n\\bottomrule\n\\end{tabular}\n\n"
        "% What differs\n\\begin{tabular}{ll}\n\\toprule\nrun & notes \\\\\n\\midrule\na & x\\_1 \\\\\n"
        "\\bottomrule\n\\end{tabular}\n"
    )


@given(st.text())
def test_no_sign_keeps_its_meaning_to_latex(words: str) -> None:
    shown = escape_latex(words)
    for known in (r"\textbackslash{}", r"\textasciitilde{}", r"\textasciicircum{}", r"$\rightarrow$", r"$\pm$"):
        shown = shown.replace(known, "")
    for known in ("$<$", "$>$", "$-$", *(f"\\{sign}" for sign in "&%$#_{}")):
        shown = shown.replace(known, "")
    assert not set("\\&%$#_{}~^<>\n") & set(shown)
