"""The report that a run leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def report_of(folder: Path) -> dict[str, Any]:
    """``report.json`` of the run in ``folder``."""
    return json.loads((folder / "report.json").read_text("utf-8"))  # type: ignore[no-any-return]
