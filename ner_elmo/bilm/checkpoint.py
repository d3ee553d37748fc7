"""Checkpoints: the whole state of a training run, from which it goes on to the bit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from ner_elmo.bilm.trainer import Trainer
from ner_elmo.text.files import replace_file

CHECKPOINTS_KEPT = 2

Report = Callable[[Mapping[str, Any]], None]


def save_checkpoint(trainer: Trainer, folder: Path) -> Path:
    """Write ``step-N.pt`` whole or not at all, and drop all but the newest few."""
    path = folder / f"step-{trainer.step:08d}.pt"
    values = {
        "model": trainer.model.state_dict(),
        "softmax": trainer.softmax.state_dict(),
        "optimizer": trainer.optimizer.state_dict(),
        "generator": trainer.generator.get_state(),
        "random": torch.get_rng_state(),
        "cuda_random": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "position": [trainer.step, trainer.tokens, trainer.epoch, trainer.batch, trainer.skipped],
        "best": trainer.best,
        "running_text": trainer.running_text.state_dict() if trainer.running_text is not None else None,
    }
    with replace_file(path) as temporary:
        torch.save(values, temporary)
    for old in sorted(folder.glob("step-*.pt"))[:-CHECKPOINTS_KEPT]:
        old.unlink()
    return path


def load_checkpoint(trainer: Trainer, folder: Path, report: Report) -> bool:
    """Set ``trainer`` to the newest sound checkpoint; a damaged one is named and the one before is tried."""
    for path in sorted(folder.glob("step-*.pt"), reverse=True):
        try:
            values = torch.load(path, map_location="cpu", weights_only=True)
            trainer.model.load_state_dict(values["model"])
            trainer.softmax.load_state_dict(values["softmax"])
            trainer.optimizer.load_state_dict(values["optimizer"])
            trainer.generator.set_state(values["generator"])
            torch.set_rng_state(values["random"])
            if trainer.device.type == "cuda":
                torch.cuda.set_rng_state_all(values["cuda_random"])
            trainer.step, trainer.tokens, trainer.epoch, trainer.batch, trainer.skipped = values["position"]
            trainer.best = values["best"]
            if trainer.running_text is not None:
                trainer.running_text.load_state_dict(values["running_text"], trainer.device)
        except Exception as error:  # whatever a torn or foreign file makes of torch.load
            report(
                {
                    "event": "warning",
                    "message": f"{path}: not a sound checkpoint ({type(error).__name__}); trying the one before",
                }
            )
            continue
        return True
    return False
