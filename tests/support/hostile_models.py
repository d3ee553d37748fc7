"""Models as nobody should hand them over: damaged, cut off, of other shapes, with digests that fit all that."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ner_elmo.bilm.files.directory import find_bilm, load_softmax, load_vocabulary
from ner_elmo.bilm.perplexity import held_out_perplexity
from ner_elmo.elmo.encoder import Elmo
from ner_elmo.tagger.store import _write_info
from ner_elmo.tagger.tagger import Tagger

TEXT = "Ann Smith sees Rome City today . Zoë leaves Lima !"
TOKENS = TEXT.split()


def files_of(folder: Path) -> list[str]:
    """The places of all files that are read of a model, below its folder."""
    files = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
    return [name for name in files if not name.endswith((".md", ".html", ".pt", ".conll", ".jsonl"))]


def digests_recomputed(folder: Path) -> None:
    """Make every digest fit what stands there now, as a stranger could. A JSON file that is none stays as it is."""
    for bilm in (folder, folder / "bilm"):
        info = _read(bilm / "bilm.json")
        if isinstance(info, dict) and isinstance(info.get("sha256"), dict):
            for name in info["sha256"]:
                if isinstance(name, str) and (bilm / name).is_file():
                    info["sha256"][name] = _sha256(bilm / name)
            (bilm / "bilm.json").write_text(json.dumps(info, indent=2, ensure_ascii=False) + "\n", "utf-8")
    info = _read(folder / "tagger.json")
    if isinstance(info, dict):
        if isinstance(info.get("files"), dict):
            for name in info["files"]:
                if (folder / name).is_file():
                    info["files"][name] = _sha256(folder / name)
        info.pop("sha256", None)
        _write_info(folder / "tagger.json", info)


def rewrite(folder: Path, **changes: object) -> None:
    """Change ``tagger.json`` and make its digest fit again, as a stranger could."""
    values = json.loads((folder / "tagger.json").read_text())
    del values["sha256"]
    _write_info(folder / "tagger.json", values | changes)


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def use_bilm(folder: Path) -> Any:
    """All that a biLM answers: the vectors of a sentence, the kind of its text, its perplexity."""
    files = find_bilm(folder)
    elmo = Elmo.load(files)
    (vectors,) = elmo.embed([TOKENS])
    kind = files.checked_tokenizer()
    softmax = load_softmax(files, load_vocabulary(files), elmo.options.lstm.projection_dim)
    carried = files.info.get("state") == "carried"
    found = held_out_perplexity(elmo.model, softmax, load_vocabulary(files), [TOKENS], carry_state=carried)
    return vectors.shape, hashlib.sha256(vectors).hexdigest(), kind, repr(found.mean)


def use_tagger(folder: Path) -> Any:
    """All that a tagger answers: the entities of a text with their probabilities, its labels."""
    tagger = Tagger.load(folder)
    return tagger.labels, [(e.start, e.end, e.label, repr(e.score)) for e in tagger.tag(TEXT).entities]


def restored(source: Path, target: Path) -> None:
    """``target`` as it was."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)


def truncations(size: int, n: int) -> Iterator[int]:
    """``n`` lengths that a file of ``size`` bytes is cut to, over all of it."""
    yield from (size * i // n for i in range(n))


def flipped(data: bytes, rng: random.Random) -> bytes:
    """One byte changed."""
    found = bytearray(data)
    place = rng.randrange(len(found))
    found[place] ^= rng.randrange(1, 256)
    return bytes(found)
