"""Packages that an engine needs, and what to install where they are missing."""

from __future__ import annotations

import importlib
from types import ModuleType

from ner_elmo.errors import UsageError


def require(module: str, extra: str) -> ModuleType:
    """Import a module of an engine.

    Raises:
        UsageError: it, or a package that it needs, is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        missing = (getattr(error, "name", None) or module).split(".")[0]
        raise UsageError(
            f"{module.split('.')[0]}: needs the {missing} package; try: pip install 'ner-elmo[{extra}]'"
        ) from None
