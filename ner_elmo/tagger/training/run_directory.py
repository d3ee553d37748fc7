"""A tagger's run directory: what stands in it, clearing and moving it, and its report with card and pages."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from ner_elmo.runs.directory import BILM, CHECKPOINTS, CONFIG, LOG, REPORT, remove_checkpoints
from ner_elmo.runs.log import read_events
from ner_elmo.tagger.report.card import model_card
from ner_elmo.tagger.report.facts import ERRORS, PAGES, write_pages
from ner_elmo.tagger.store import CARD, INFO, WEIGHTS, WORD_VECTORS, move_info
from ner_elmo.text.files import json_text, write_json, write_text

PREDICTIONS = {"dev": "predictions.dev.conll", "test": "predictions.test.conll"}
# All that a run writes into its folder, beside the biLM.
RUN_NAMES = (
    *(INFO, WEIGHTS, WORD_VECTORS, REPORT, *PAGES, ERRORS, CARD, CONFIG, LOG, CHECKPOINTS),
    *PREDICTIONS.values(),
)


def clear_run(directory: Path) -> None:
    """Remove what an earlier run left in ``directory``, and nothing else."""
    for folder in (directory, *(one for one in directory.glob("seed-*") if one.name[5:].isdecimal())):
        for name in (*RUN_NAMES, BILM):
            path = folder / name
            if name == CHECKPOINTS:
                remove_checkpoints(folder)
            elif path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        if folder != directory and not any(folder.iterdir()):
            folder.rmdir()


def move_run(source: Path, target: Path, bilm: str | None) -> None:
    """Move a finished run to another folder; its ``tagger.json`` names the biLM's new place."""
    move_info(source, bilm)
    for name in RUN_NAMES:
        if (source / name).exists():
            (source / name).rename(target / name)
    if not any(source.iterdir()):
        source.rmdir()


def write_report(folder: Path, found: dict[str, Any]) -> None:
    """``report.json``, and the model card and pages, which say the same to people; ``errors.json`` is there already."""
    bilm_info = folder / BILM / "bilm.json"
    if not bilm_info.is_file():
        bilm_info = folder.parent / BILM / "bilm.json"
    has_bilm = found["protocol"]["bilm"] is not None and bilm_info.is_file()
    bilm = json.loads(bilm_info.read_text(encoding="utf-8")) if has_bilm else None
    write_json(folder / REPORT, found)
    write_text(folder / CARD, model_card(found, bilm))
    if found.get("analysis"):  # reports of earlier versions have none, nor has a run that scored nothing
        write_pages(folder, found)


def cut_log(path: Path, epoch: int) -> None:
    """Drop lines about epochs after ``epoch``: they were not saved, and will be done again."""
    if not path.is_file():
        return
    kept = []
    for values in read_events(path):
        number = values.get("epoch", 0)
        if epoch and isinstance(number, int) and number <= epoch:
            kept.append(json_text(values) + "\n")
    write_text(path, "".join(kept))
