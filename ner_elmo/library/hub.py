"""Models on a model hub (Hugging Face's, or one with the same interface): put there, and fetched from there.

These two functions, and ``--track``, are all in this package that talks to another machine.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ner_elmo.bilm.files.directory import BILM_FILES, copy_bilm, find_bilm
from ner_elmo.errors import ModelError, NerElmoError, UsageError, one_line
from ner_elmo.runs.directory import BILM, REPORT
from ner_elmo.tagger.store import CARD, INFO, WEIGHTS, WORD_VECTORS, copy_tagger, read_info, verify_files
from ner_elmo.tagger.tagger import find_model
from ner_elmo.text.files import is_there, replace_directory

# All that a model of ours is made of; nothing else of a repository is fetched.
TAGGER_FILES = (INFO, WEIGHTS, WORD_VECTORS, REPORT, CARD)
WANTED = sorted({*TAGGER_FILES, *BILM_FILES, *(f"{BILM}/{name}" for name in BILM_FILES)})
# What versions of huggingface_hub send their requests by.
_TRANSPORTS = {"httpx", "httpx2", "httpcore", "httpcore2", "requests", "urllib3"}
_SPARE = 1.05  # of the size of what is fetched, that the disk must have free


def push(
    model: str | Path,
    repository: str,
    *,
    private: bool = False,
    token: str | None = None,
    endpoint: str | None = None,
) -> str:
    """Put a tagger or a biLM on the hub: its own files, not what else a run directory holds.

    Args:
        model: a tagger or biLM directory, or the name of a model that ships.
        repository: ``owner/name``, which is made if it is not there.
        private: for those alone who may see it; only of one that is made.
        token: of the hub; otherwise ``HF_TOKEN``, or what ``hf auth login`` has kept.
        endpoint: the hub's address; otherwise ``HF_ENDPOINT``, or Hugging Face's.

    Returns:
        The address of the commit.

    Raises:
        UsageError: no such model; the name of the repository cannot be; the package ``huggingface_hub`` is missing.
        ModelError: a file of the model is missing or damaged.
        NerElmoError: the hub refuses, or cannot be reached.
    """
    _require_hub()
    path = Path(model) if is_there(Path(model)) else find_model(model)
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "model"
        if (path / INFO).is_file():
            copy_tagger(path, ready)
        else:
            copy_bilm(find_bilm(path), ready, with_softmax=True)
        with _refusals(repository):
            api = _api(endpoint, token)
            api.create_repo(repository, private=private, exist_ok=True)
            done = api.upload_folder(
                repo_id=repository, folder_path=ready, commit_message="A model of ner-elmo", allow_patterns=WANTED
            )
    return str(done.commit_url)


def pull(
    repository: str,
    folder: str | Path,
    *,
    revision: str | None = None,
    token: str | None = None,
    endpoint: str | None = None,
) -> Path:
    """Fetch a tagger or a biLM from the hub; ``folder`` is there once all of it is, and its digests are right.

    Args:
        repository: ``owner/name``.
        folder: to write; one that is there is replaced.
        revision: a branch, tag or commit; otherwise the newest.

    Returns:
        ``folder``.

    Raises:
        UsageError: the name of the repository cannot be; the package ``huggingface_hub`` is missing.
        ModelError: what lies there is no model of ner-elmo, or is damaged.
        NerElmoError: the hub refuses, or cannot be reached; the disk has too little room.
    """
    _require_hub()
    folder = Path(folder)
    with replace_directory(folder) as temporary:
        with _refusals(repository):
            api = _api(endpoint, token)
            found = api.model_info(repository, revision=revision, files_metadata=True)
            _require_room(repository, temporary, found)
            api.snapshot_download(repository, revision=found.sha, local_dir=temporary, allow_patterns=WANTED)
        shutil.rmtree(temporary / ".cache", ignore_errors=True)
        _require_model(repository, temporary)
    return folder


def _require_room(repository: str, folder: Path, found: Any) -> None:
    size = sum(file.size or 0 for file in found.siblings or [] if file.rfilename in WANTED)
    free = shutil.disk_usage(folder).free
    if size * _SPARE > free:
        raise NerElmoError(f"{repository}: has {size:,} bytes; the disk has {free:,} free")


def _require_model(repository: str, folder: Path) -> None:
    """Make sure that what was fetched is a whole model.

    Raises:
        ModelError: it is not; the message names the repository and not the temporary folder.
    """
    try:
        if (folder / INFO).is_file():
            verify_files(folder, read_info(folder)["files"])
        else:
            find_bilm(folder)
    except NerElmoError as error:
        raise ModelError(str(error).replace(str(folder), repository)) from None


def _require_hub() -> None:
    if importlib.util.find_spec("huggingface_hub") is None:
        raise UsageError("a model hub needs the huggingface_hub package; try: pip install 'ner-elmo[hub]'")


def _api(endpoint: str | None, token: str | None) -> Any:
    from huggingface_hub import HfApi

    return HfApi(endpoint=endpoint or os.environ.get("HF_ENDPOINT"), token=token, library_name="ner-elmo")


@contextmanager
def _refusals(repository: str) -> Iterator[None]:
    """Turn what the hub's library raises into one line.

    Raises:
        UsageError, NerElmoError: instead of it.
    """
    from huggingface_hub import errors

    try:
        yield
    except errors.HFValidationError as error:
        raise UsageError(f"{one_line(repository)}: {_first(error)}; expected OWNER/NAME") from None
    except errors.LocalTokenNotFoundError:
        raise NerElmoError(f"{repository}: the hub asks who you are; try: hf auth login, or set HF_TOKEN") from None
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        advice = {
            401: "try: hf auth login, or set HF_TOKEN; a repository that is not there is answered so, too",
            403: "this account may not do so",
            404: "there is no such repository or revision",
            429: "too many requests; try later",
        }
        raise NerElmoError(f"{repository}: the hub answers {status}: {advice.get(status, _first(error))}") from None
    except RuntimeError as error:  # an upload that failed, for the reason that it names as its cause
        raise NerElmoError(f"{repository}: {_first(error)} {_first(error.__cause__ or error)}") from None
    except Exception as error:
        is_of_transport = type(error).__module__.split(".")[0] in _TRANSPORTS
        if not (is_of_transport or isinstance(error, ConnectionError | TimeoutError | errors.LocalEntryNotFoundError)):
            raise
        reason = f"{type(error).__name__}: {_first(error)}"
        raise NerElmoError(f"{repository}: the hub cannot be reached ({reason})") from None


def _first(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return one_line(lines[0] if lines else type(error).__name__)
