"""Which colour a label has, on a terminal, in a page and in BRAT alike.

There are twelve. Usual labels have one of their own; any other takes the one that its name leads to, or the next that
is free, so that a page's first twelve labels differ. Nothing may depend on the colour alone: the label stands beside
it.
"""

from __future__ import annotations

from typing import NamedTuple
from zlib import crc32


class Colour(NamedTuple):
    """Backgrounds on which the page's words can be read (contrast of at least 7), and a colour of terminals.

    Attributes:
        light, dark: the backgrounds in the page's light and dark dress.
        ansi: the parameter of SGR for the foreground; those of the 16 follow the terminal's own dress.
    """

    light: str
    dark: str
    ansi: int


COLOURS = (
    Colour("#d3e3fb", "#23406e", 94),  # blue
    Colour("#fbdcc2", "#6a3c17", 33),  # orange
    Colour("#cdebd2", "#1e5130", 32),  # green
    Colour("#f7d5e9", "#66284f", 35),  # pink
    Colour("#f2e6a2", "#564809", 93),  # yellow
    Colour("#e2d9fb", "#453375", 95),  # violet
    Colour("#bfeae6", "#12504c", 36),  # teal
    Colour("#f9d0cc", "#6e2925", 31),  # red
    Colour("#dfeeb2", "#3e4f10", 92),  # lime
    Colour("#c9e9fb", "#1b4a66", 96),  # sky
    Colour("#ecd8c3", "#563e27", 91),  # brown
    Colour("#dfe2e7", "#434955", 34),  # grey
)
_USUAL = {
    "PER": 0,
    "PERSON": 0,
    "ORG": 1,
    "ORGANIZATION": 1,
    "LOC": 2,
    "LOCATION": 2,
    "GPE": 2,
    "MISC": 5,
    "DATE": 4,
    "TIME": 4,
}


def preferred(label: str) -> int:
    """The number of a label's colour where no other label has taken it; the same in every run."""
    return _USUAL.get(label.upper(), crc32(label.encode("utf-8", "surrogatepass")) % len(COLOURS))


class LabelColours:
    """Gives out colours to labels as they come, each another one while there are any left."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._taken: set[int] = set()

    def number(self, label: str) -> int:
        """The number in :data:`COLOURS` of the colour of a label."""
        if label not in self._numbers:
            wanted = preferred(label)
            free = [(wanted + step) % len(COLOURS) for step in range(len(COLOURS))]
            number = next((number for number in free if number not in self._taken), wanted)
            self._numbers[label] = number
            self._taken.add(number)
        return self._numbers[label]
