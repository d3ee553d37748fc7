"""How what was found is written: settings, which are flags of ``tag``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import IO

from ner_elmo.settings import SettingError, check, setting, settings_of
from ner_elmo.text.documents import Document

OUTPUT = "Output"  # the panel of --help

# The formats for which a setting means something, where it is not all of them.
_MEANT_FOR: dict[str, tuple[str, ...]] = {
    "offsets": ("jsonl", "csv", "tsv"),
    "color": ("text",),
    "cells": ("csv", "tsv"),
    "title": ("html",),
    "pseudonyms": ("redacted",),
    "key_file": ("redacted",),
}


@dataclass(frozen=True)
class Writing:
    """How what was found is written.

    Raises:
        SettingError: a value that cannot be meant, or a setting that means nothing for the format.
    """

    format: str = setting(
        "text",
        help="text, conll, jsonl, csv, tsv, html, redacted; for correction in other tools: brat, doccano, "
        "label-studio, prodigy, webanno, conllu, hf, docbin, parquet",
        short="-f",
        metavar="NAME",
        panel=OUTPUT,
    )
    min_score: float = setting(
        0.0, help="leave out entities less probable than this", at_least=0.0, at_most=1.0, panel=OUTPUT
    )
    offsets: str = setting(
        "char",
        help="what jsonl, csv and tsv count in: char (code points), utf16 or byte",
        choices=("char", "utf16", "byte"),
        panel=OUTPUT,
    )
    color: str = setting(
        "auto",
        help="colours of -f text: auto (on a terminal, unless NO_COLOR is set), always or never",
        choices=("auto", "always", "never"),
        panel=OUTPUT,
    )
    cells: str = setting(
        "safe",
        help="cells of -f csv and tsv: safe (a ' before what a spreadsheet would take for a formula), excel (safe, and "
        "a mark in front by which Excel knows UTF-8) or raw",
        choices=("safe", "excel", "raw"),
        panel=OUTPUT,
    )
    title: str = setting("", help="title of the page of -f html", by_default="Tagged text", panel=OUTPUT)
    pseudonyms: bool = setting(
        False,
        help="with -f redacted: the same stand-in for the same entity throughout ([PER 1], [PER 2] ...), not [PER]",
        panel=OUTPUT,
    )
    key_file: str = setting(
        "", help="with --pseudonyms: CSV file to write that says which entity each stand-in is", metavar="FILE",
        panel=OUTPUT,
    )  # fmt: skip

    summary: bool = setting(
        False, help="at the end, print counts by label and the most frequent entities", panel=OUTPUT
    )

    def __post_init__(self) -> None:
        check(self)
        for name, problem in self.writing_problems():
            raise SettingError(name, problem)

    def writing_problems(self) -> Iterator[tuple[str, str]]:
        """Settings of what is written that do not fit together, each with what is wrong."""
        for name, formats in _MEANT_FOR.items():
            if getattr(self, name) != settings_of(Writing)[name].default and self.format not in formats:
                *most, last = formats
                meant = f"{', '.join(most)} or {last}" if most else last
                yield name, f"means nothing for -f {self.format}; expected -f {meant} with it"
        if self.key_file and not self.pseudonyms:
            yield "key_file", "says which entity each stand-in is; expected --pseudonyms with it"


Writer = Callable[[Iterable[Document], IO[str], Writing], None]
RunWriter = Callable[[Iterable[Document], IO[str]], None]  # for one output of several of a run
