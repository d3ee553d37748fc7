"""Several taggers into one: what ``ner-elmo join`` does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ner_elmo.errors import UsageError
from ner_elmo.library.evaluation import Scores, read_gold, reading_for
from ner_elmo.library.training import TrainedTagger
from ner_elmo.runs.devices import chosen_device
from ner_elmo.runs.events import Report, silent, warning
from ner_elmo.text.files import replace_directory, sha256_of_file, shown_name
from ner_elmo.text.formats.conll import Reading
from ner_elmo.text.formats.corpus import in_documents
from ner_elmo.text.outputs import refuse_existing

if TYPE_CHECKING:
    from ner_elmo.tagger.joining import JoinedTagger
    from ner_elmo.text.formats.corpus import Corpus

NOT_GIVEN = "none: it was not given when the taggers were joined"


def join_taggers(
    taggers: Sequence[str | Path],
    directory: str | Path,
    *,
    dev: str | Path | None = None,
    test: str | Path | None = None,
    reading: Reading = Reading(),  # noqa: B008 - frozen
    storage: str = "float32",
    device: str = "auto",
    force: bool = False,
    report: Report = silent,
) -> TrainedTagger:
    """Join taggers into one in ``directory``, as ``ner-elmo join`` does: it tags by the mean of their scores.

    Args:
        taggers: directories, or names of models that ship: of the same biLM, settings and training words.
        dev: labelled sentences that the temperature of its probabilities is fitted on; without, it is the mean of
            theirs.
        test: labelled sentences to score it on.
        reading: how these are read.
        storage: ``float32``, or ``float16`` for half the size.
        force: whether to replace what stands there.
        report: is told what happens, as dictionaries with an ``event``.

    Raises:
        UsageError: fewer than two taggers, or ones that do not fit; a ``directory`` that is taken.
        DataError: labelled files that cannot be read.
        ModelError: a tagger is damaged.
    """
    from ner_elmo.tagger.joining import WRITTEN, join, require_report
    from ner_elmo.tagger.report.summary import read_report
    from ner_elmo.tagger.tagger import find_model

    directory = Path(directory)
    refuse_existing(directory, force)
    if directory.is_dir() and (other := sorted({file.name for file in directory.iterdir()} - WRITTEN)):
        raise UsageError(f"{directory}: holds what join did not write ({shown_name(other[0])}); choose another name")
    folders = [find_model(tagger) for tagger in taggers]
    if any(folder.resolve() == directory.resolve() for folder in folders):
        raise UsageError(f"{directory}: is one of the taggers to join; choose another name")
    one = join(folders)
    reports = [read_report(folder / "report.json") for folder in folders]
    for folder, found in zip(folders, reports, strict=True):
        require_report(folder, found)
    gold = {}
    for part, file in (("dev", dev), ("test", test)):
        if file is not None:
            (corpus,) = read_gold([file], reading_for([file], folders[0], reading), report)
            sentences = list(in_documents(corpus.sentences, one.model.options.reads_running_text))
            gold[part] = replace(corpus, sentences=sentences)
    files = {part: file for part, file in (("dev", dev), ("test", test)) if file is not None}
    with replace_directory(directory) as temporary:
        result = _write(temporary, one, folders, reports, gold, files, storage, device, report)
    scores = {part: Scores.of(figures) for part, figures in result["scores"].items()}
    return TrainedTagger(directory, scores.get("dev"), scores.get("test"), result)


def _write(
    folder: Path,
    one: JoinedTagger,
    folders: Sequence[Path],
    reports: Sequence[Mapping[str, Any]],
    gold: Mapping[str, Corpus],
    files: Mapping[str, str | Path],
    storage: str,
    device: str,
    report: Report,
) -> dict[str, Any]:
    from ner_elmo.elmo.encoder import Elmo
    from ner_elmo.tagger.joining import names_of
    from ner_elmo.tagger.store import store_bilm
    from ner_elmo.tagger.tagger import Tagger
    from ner_elmo.tagger.training.results import ScoredData, training_of_members, write_results
    from ner_elmo.tagger.training.seeds import summary

    chosen, first = chosen_device(device), one.first
    bilm = None if first.bilm is None else store_bilm(first.bilm, folder)
    elmo = None if first.bilm is None else Elmo.load(first.bilm, device=chosen)
    tagger = Tagger(one.model, first.words, first.text, elmo, chosen)
    examples = {
        part: tagger.examples([s.tokens for s in corpus.sentences], [s.document for s in corpus.sentences])
        for part, corpus in gold.items()
    }
    parts = {part: corpus.sentences for part, corpus in gold.items()}
    trained_on_dev = any(found["protocol"]["trained_on_dev"] for found in reports)
    if trained_on_dev and "dev" in gold:
        warning(report, "a tagger was trained on dev; no temperature is fitted there, and the dev score means little")
    temperature = 1.0 if trained_on_dev else None if "dev" in gold else one.temperature
    protocol = _protocol(reports, gold, files, trained_on_dev)
    names = names_of(folders, reports)
    same = _scored_alike(reports, protocol["data"])
    facts = {
        "seed": reports[0]["seed"],
        "protocol": protocol,
        "training": training_of_members(one.model, reports),
        "config": reports[0]["config"],
        "licence": reports[0]["licence"],
        "members": {"number": len(folders), "names": names, **summary(dict(zip(names, same, strict=True)))},
    }
    info: dict[str, Any] = {
        name: first.info[name] for name in ("text", "licence", "teacher", "unlabelled") if name in first.info
    }
    info["data"] = protocol["data"]
    data = ScoredData(parts, examples, first.words, temperature)
    return write_results(folder, one.model, data, facts, info, storage, bilm, chosen, report)


def _protocol(
    reports: Sequence[Mapping[str, Any]],
    gold: Mapping[str, Corpus],
    files: Mapping[str, str | Path],
    trained_on_dev: bool,
) -> dict[str, Any]:
    """The first tagger's protocol, but for what was scored now."""
    from ner_elmo.tagger.training.protocol import gold_digest

    first = reports[0]["protocol"]
    data = {"train": first["data"]["train"]}
    for part, corpus in gold.items():
        data[part] = {
            "file": Path(files[part]).name,
            "sha256": sha256_of_file(files[part]) if Path(files[part]).is_file() else None,
            "gold_sha256": gold_digest(corpus.sentences),
            "scheme": corpus.scheme,
            "sentences": len(corpus.sentences),
            "tokens": sum(len(sentence.tokens) for sentence in corpus.sentences),
            "entities": sum(len(sentence.spans) for sentence in corpus.sentences),
        }
    seeds = dict.fromkeys(seed for found in reports for seed in found["protocol"]["seeds"])
    return {
        **first,
        "data": data,
        "dev": "file" if "dev" in gold else NOT_GIVEN,
        "trained_on_dev": trained_on_dev,
        "seeds": list(seeds),
    }


def _scored_alike(reports: Sequence[Mapping[str, Any]], data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The reports with those scores alone that are over the sentences that the joined tagger is scored on."""
    parts = [
        part
        for part in ("dev", "test")
        if part in data
        and all(
            part in found["scores"]
            and found["protocol"]["data"].get(part, {}).get("gold_sha256") == data[part]["gold_sha256"]
            for found in reports
        )
    ]
    return [{"scores": {part: found["scores"][part] for part in parts}} for found in reports]
