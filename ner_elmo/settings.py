"""Settings: a dataclass whose fields say all there is to say about each of them, in one place.

A field made by :func:`setting` carries its help, its bounds or choices, the panel of ``--help`` it stands in, its flag,
and whether a resumed run may change it. Flags (:mod:`ner_elmo.cli.flags`), configuration files (:func:`read_values`),
calls from Python (:func:`check`), ``--resume`` (:func:`refuse_changes`) and the tables of the documentation
(:func:`as_markdown`) all read that place, so that a wrong value is refused in the same words wherever it comes from.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

from ner_elmo.errors import DataError, UsageError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    C = TypeVar("C", bound=DataclassInstance)
else:
    C = TypeVar("C")

_KEY = "setting"  # under which a field's metadata has it
MOST, MOST_FLOAT = 10**15, 1e38  # beyond which no whole number, and no other, can be meant
_CUT = 60  # characters of a value or key that a message shows


@dataclass(frozen=True)
class Setting:
    """What a setting is, beside its type and default, which the dataclass itself has.

    Attributes:
        help: a phrase for ``--help`` and the documentation.
        panel: the section of ``--help``.
        choices: the only values that mean something.
        at_least, above, at_most, below: bounds of a number.
        flag: its option on the command line, ``--name`` by default; empty: only files and Python have it. A switch
            with an opposite is written ``--name/--no-name``.
        short: its option of one letter, such as ``-f``.
        by_default: words for ``--help``, where the default depends on something.
        metavar: what stands for its value in ``--help``, where its type does not say enough.
        repeats: whether its option may be given several times, which stands for one value with commas.
        may_change: whether a resumed run may have another value.
        replaces: settings that mean the same in other words: where this one is given, earlier sources' are dropped.
        excludes: those of them that cannot stand beside it in one source.
        problem: what is wrong with a value of the right type, as the end of a sentence; nothing if it is right.
    """

    help: str
    panel: str = ""
    choices: tuple[str, ...] = ()
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    flag: str = "--"
    short: str = ""
    by_default: str = ""
    metavar: str = ""
    repeats: bool = False
    may_change: bool = False
    replaces: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    problem: Callable[[Any], str] | None = None


def setting(default: Any = MISSING, *, help: str, **more: Any) -> Any:
    """A field of a dataclass of settings; the rest as in :class:`Setting`."""
    metadata = {_KEY: Setting(help=help, **more)}
    return dataclasses.field(default=default, metadata=metadata)


class SettingError(UsageError):
    """A setting has a value that cannot be meant.

    Attributes:
        key: its name.
        problem: what was found and what was expected.
    """

    def __init__(self, key: str, problem: str, owner: str = "") -> None:
        super().__init__(f"{owner}: {key}: {problem}" if owner else f"{key}: {problem}")
        self.key = key
        self.problem = problem


class Known(NamedTuple):
    """A setting of a dataclass: its name, the plain types of its values, what it is, and its default."""

    name: str
    types: tuple[Any, ...]
    is_open: bool  # whether None, "not said", is a value
    of: Setting
    default: Any

    @property
    def flag(self) -> str:
        """Its option on the command line without an opposite, or nothing."""
        flags = self.of.flag
        return f"--{self.name.replace('_', '-')}" if flags == "--" else flags.split("/")[0]


@cache
def settings_of(owner: type) -> dict[str, Known]:
    """The settings of a dataclass by name, in its order; fields that are no settings are left out."""
    hints = get_type_hints(owner)
    found = {}
    for field in dataclasses.fields(owner):
        if _KEY in field.metadata:
            hint = hints[field.name]
            types = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
            plain = tuple(kind for kind in types if kind is not NoneType)
            is_open = len(plain) < len(types) or field.default is None  # a default of None follows from the others
            found[field.name] = Known(field.name, plain, is_open, field.metadata[_KEY], field.default)
    return found


def check(config: DataclassInstance) -> None:
    """Hold every setting of ``config`` to its type, choices and bounds.

    Raises:
        SettingError: for the first that does not fit.
    """
    for known in settings_of(type(config)).values():
        _check_value(known, getattr(config, known.name), type(config).__name__)


def _check_value(known: Known, value: Any, owner: str = "") -> None:
    if value is None and known.is_open:
        return
    if not any(_is_of(value, kind) for kind in known.types) or not _is_within(known, value):
        raise SettingError(known.name, f"found {_shown(value)}, expected {expected(known)}", owner)
    if known.of.problem is not None and (problem := known.of.problem(value)):
        raise SettingError(known.name, f"found {_shown(value)}, {problem}", owner)


def _is_of(value: Any, kind: Any) -> bool:
    if kind is Any:
        return True
    plain = get_origin(kind) or kind
    if isinstance(value, bool) or plain is bool:
        return isinstance(value, bool) and plain is bool
    if plain is float:
        return isinstance(value, int | float) and abs(value) <= (
            MOST if isinstance(value, int) else MOST_FLOAT
        )  # not NaN
    if plain is tuple:
        return isinstance(value, tuple) and all(_is_of(item, get_args(kind)[0]) for item in value)
    if plain is list:
        return isinstance(value, list) and all(_is_of(item, get_args(kind)[0]) for item in value)
    return isinstance(value, plain)


def _is_within(known: Known, value: Any) -> bool:
    of = known.of
    if of.choices:
        return value in of.choices
    if isinstance(value, str):
        return bool(value) or known.default == ""
    if isinstance(value, list):
        return bool(value) and all(value)
    if isinstance(value, tuple):
        return len(set(value)) == len(value) and all(_is_within(known, item) for item in value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return abs(value) <= (MOST if isinstance(value, int) else MOST_FLOAT) and (
            (of.at_least is None or value >= of.at_least)
            and (of.above is None or value > of.above)
            and (of.at_most is None or value <= of.at_most)
            and (of.below is None or value < of.below)
        )
    return True


def _shown(value: Any) -> str:
    """A value for a message, in the words of a configuration file, cut where it is long."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = repr(value)
    return text if len(text) <= _CUT else text[: _CUT - 3] + "..."


def expected(known: Known) -> str:
    """What a setting takes, in words."""
    if known.of.choices:
        *most, last = known.of.choices
        return f"{', '.join(most)} or {last}" if most else last
    kind = known.types[0]
    names = {str: "text", bool: "true or false", dict: "an object", Any: "any value"}
    if kind in (int, float):
        return ("a whole number" if kind is int else "a number") + _bounds(known.of)
    if get_origin(kind) is tuple:
        return f"whole numbers{_bounds(known.of)}, each once, such as 0,1,2"
    if get_origin(kind) is list:
        return "a list of names"
    return names[get_origin(kind) or kind]


def _bounds(of: Setting) -> str:
    if of.at_least is not None and (of.at_most is not None or of.below is not None):
        return f" from {of.at_least:,} to " + (f"below {of.below:,}" if of.below is not None else f"{of.at_most:,}")
    parts = [(" of at least ", of.at_least), (" above ", of.above), (" of at most ", of.at_most), (" below ", of.below)]
    return "".join(f"{words}{bound:,}" for words, bound in parts if bound is not None)


def part_of(config: DataclassInstance, owner: type) -> dict[str, Any]:
    """Those settings of ``config`` that are settings of ``owner``, which it has from there."""
    return {name: getattr(config, name) for name in settings_of(owner)}


# --- where values come from ---------------------------------------------------------------------------------------


class Source(NamedTuple):
    """Some settings and where they were read: a file's name, or nothing for the command line."""

    file: str
    values: Mapping[str, Any]


def from_text(known: Known, text: str) -> Any:
    """The value that ``text`` on the command line means; what means nothing is handed back for :func:`check`."""
    kind = known.types[0]
    try:
        if kind is int and _WHOLE.fullmatch(text):
            return int(text)
        if kind is float and text.isascii() and "_" not in text:
            return float(text)
        if get_origin(kind) is tuple and all(_WHOLE.fullmatch(part.strip()) for part in text.split(",")):
            return tuple(int(part) for part in text.split(","))
    except ValueError:
        return text
    return text


_WHOLE = re.compile(r"[+-]?[0-9]{1,30}")


def read_values(path: str | Path, owner: type) -> dict[str, Any]:
    """Some or all settings of ``owner`` from a JSON file, or by its suffix a TOML file.

    Raises:
        UsageError: no such file.
        DataError: it is neither, or has a key that is no setting (the message names the nearest one).
    """
    path = Path(path)
    if path.is_dir():
        raise UsageError(f"{path}: is a directory; expected a configuration file")
    if not path.exists():
        raise UsageError(f"{path}: no such configuration file")
    if not path.is_file():
        raise UsageError(f"{path}: is a pipe or device; expected a configuration file")
    try:
        text = path.read_text(encoding="utf-8-sig")
        values = _toml(text) if path.suffix.lower() == ".toml" else json.loads(text, object_pairs_hook=unique_keys)
    except ValueError as error:
        raise DataError(f"{path}: damaged ({error}); expected settings as JSON, or as TOML in a .toml file") from None
    except (OSError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    if not isinstance(values, dict):
        raise DataError(f"{path}: found {_shown(values)}, expected an object with settings")
    known = settings_of(owner)
    for key in values:
        if key not in known:
            raise DataError(f"{path}: found an unknown setting {key[:_CUT]!r}; {_nearest(key, known)}")
    return {key: _from_file(known[key], value) for key, value in values.items()}


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object (``object_pairs_hook``); JSON lets a key stand twice, of which one would be lost.

    Raises:
        ValueError: one does.
    """
    values = dict(pairs)
    if len(values) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"{twice[:_CUT]!r} stands twice")
    return values


def _toml(text: str) -> Any:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return tomllib.loads(text)


def _from_file(known: Known, value: Any) -> Any:
    """JSON has lists where a setting has a tuple."""
    return tuple(value) if isinstance(value, list) and get_origin(known.types[0]) is tuple else value


def _nearest(key: str, known: Iterable[str]) -> str:
    names = sorted(known)
    near = difflib.get_close_matches(key, names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"expected some of {', '.join(names[:8])} ... (docs/settings.md)"


def build(owner: type[C], sources: Sequence[Source]) -> C:
    """The settings of ``owner`` from several sources, a later one before an earlier, the rest by default.

    Raises:
        UsageError: a flag has a value that cannot be meant, or what has no default is missing.
        DataError: the same of a file; the message begins with its name.
    """
    known = settings_of(owner)
    values: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for source in sources:
        _check_source(known, source)
        for key in source.values:
            for other in known[key].of.replaces:
                if other not in source.values:
                    values.pop(other, None)
        values |= source.values
        origin |= dict.fromkeys(source.values, source.file)
    try:
        return owner(**values)
    except SettingError as error:
        raise _named(known, error, origin) from None


def _check_source(known: Mapping[str, Known], source: Source) -> None:
    """Look at the values of one source, also at those that a later one overrides.

    Raises:
        UsageError, DataError: a value cannot be meant, or two say the same thing in other words.
    """
    try:
        for key, value in source.values.items():
            _check_value(known[key], value)
            for other in known[key].of.excludes:
                if value is not None and source.values.get(other) is not None:
                    raise SettingError(key, f"and {other} say the same thing in other words; expected one of them")
    except SettingError as error:
        raise _named(known, error, dict.fromkeys(source.values, source.file)) from None


def _named(known: Mapping[str, Known], error: SettingError, origin: Mapping[str, str]) -> UsageError | DataError:
    """The error with the place that the setting's value came from."""
    file = origin.get(error.key, "")
    if file:
        return DataError(f"{file}: {error.key}: {error.problem}")
    return UsageError(f"{known[error.key].flag or error.key}: {error.problem}")


def refuse_changes(where: str | Path, before: DataclassInstance, now: DataclassInstance) -> None:
    """Make sure that going on with a run means the same run.

    Raises:
        UsageError: a setting that may not change has; the message names it and both values.
    """
    for known in settings_of(type(now)).values():
        was, is_now = getattr(before, known.name), getattr(now, known.name)
        if was != is_now and not known.of.may_change:
            name, was, is_now = _difference(known.name, was, is_now)
            raise UsageError(
                f"{where}: --resume with another {name} ({_shown(is_now)}, the run has {_shown(was)}); give the "
                "same flags, or none, or another -o"
            )


def not_applied(before: DataclassInstance, now: DataclassInstance) -> str:
    """For a finished run that was asked to go on with other settings, which a run may change: a line that names them;
    nothing if there are none."""
    known = settings_of(type(now))
    names = [one.flag or name for name, one in known.items() if getattr(before, name) != getattr(now, name)]
    return f"a finished run stays as it is; not applied: {', '.join(names)}" if names else ""


def _difference(name: str, was: Any, is_now: Any) -> tuple[str, Any, Any]:
    """Of two objects, the first part that is another."""
    if isinstance(was, dict) and isinstance(is_now, dict):
        for key in sorted({*was, *is_now}):
            if was.get(key) != is_now.get(key):
                return _difference(f"{name}.{key}", was.get(key), is_now.get(key))
    return name, was, is_now


def as_markdown(owner: type) -> str:
    """A table of all settings for the documentation."""
    lines = ["| setting | flag | values | default | what it is |", "| --- | --- | --- | --- | --- |"]
    for known in settings_of(owner).values():
        default = known.of.by_default or ("" if known.default in (None, MISSING, ()) else _shown(known.default))
        flag = f"`{known.flag}`" if known.flag else ""
        cells = (f"`{known.name}`", flag, expected(known), default, known.of.help)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"
