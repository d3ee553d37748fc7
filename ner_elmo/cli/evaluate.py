"""``ner-elmo evaluate``: how well a tagger finds the entities of labelled files."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ner_elmo.cli import flags, show
from ner_elmo.errors import DataError, UsageError
from ner_elmo.settings import Source, build
from ner_elmo.text.formats.conll import Reading
from ner_elmo.text.tag_scheme import TOKEN

if TYPE_CHECKING:
    from ner_elmo.tagger.tagger import Tagger
    from ner_elmo.text.formats.corpus import Corpus, LabelledSentence
    from ner_elmo.text.tag_scheme import Span

NAME = "evaluate"


@flags.takes_settings(Reading, leave_out=["text"])
def command(
    given: dict[str, Any],
    files: Annotated[list[str], typer.Argument(metavar="FILES...", help="labelled files; - is standard input")],
    model: Annotated[str | None, typer.Option("--model", "-m", help="tagger directory or name [default: en]")] = None,
    predictions: Annotated[
        Path | None,
        typer.Option("--predictions", help="score this file's entities instead of a model's; it has the same tokens"),
    ] = None,
    precision: flags.Precision = "fp32",
    json: flags.Json = False,
    device: flags.Device = "auto",
    threads: flags.Threads = None,
    batch_tokens: flags.BatchTokens = None,
    debug: flags.Debug = False,
) -> None:
    """Compare a tagger's entities, or those of a file, with those of labelled files, all files together.

    An entity is right if its start, end and label are; accuracy is the share of tokens with the right tag, the figure
    for a tagger that gives each token a tag of its own (--scheme none). The tag scheme of the files need not be the
    tagger's. In raw text (.jsonl) the tagger's tokenizer finds the tokens.
    """
    from ner_elmo.text.formats.check import unbroken_in
    from ner_elmo.text.formats.corpus import load_corpus
    from ner_elmo.text.formats.problems import summary
    from ner_elmo.text.formats.recognition import is_raw_text

    if predictions is not None and model is not None:
        raise UsageError("--predictions scores a file and -m a model; expected one of them")
    plain = build(Reading, [Source("", given)])
    any_raw = predictions is None and any(is_raw_text(file, plain.source, plain.encoding) for file in files)
    text = _text_of(model) if any_raw else None
    if predictions is None and _tags_each_token(model):
        given["scheme"] = TOKEN
    reading = build(Reading, [Source("", given | {"text": text})])

    def load(file: str, reading: Reading) -> Corpus:
        corpus = load_corpus(file, reading)
        for line in summary(corpus.name, [*corpus.warnings, *unbroken_in(corpus)]):
            show.note(f"warning: {line}")
        return corpus

    corpora = [load(file, reading) for file in files]
    gold = [sentence for corpus in corpora for sentence in corpus.sentences]
    begun = time.monotonic()
    if predictions is None and model is None:
        show.note(f"no -m: using the model that ships, {_find(None).name}")
    if predictions is None:
        from ner_elmo.tagger.tagger import Tagger

        torch_device = flags.set_up_torch(device, threads)
        tagger = Tagger.load(model, device=torch_device, precision=precision, batch_tokens=batch_tokens)
        found, seconds = _predict(gold, _numbers_of_documents(corpora), tagger)
    else:
        predicted = load(str(predictions), _reading_of_predictions(predictions, reading))
        require_same_tokens(corpora, predicted)
        found, seconds = [s.spans for s in predicted.sentences], time.monotonic() - begun
    _show([sentence.spans for sentence in gold], found, [len(sentence.tokens) for sentence in gold], seconds, json)


def _reading_of_predictions(path: Path, reading: Reading) -> Reading:
    """As the gold files are read; but ``token<TAB>tag``, which ``tag`` writes, where those have further columns."""
    from ner_elmo.text.formats.conll import ConllFile
    from ner_elmo.text.formats.recognition import recognize

    if str(path) == "-" or recognize(path, reading.source, reading.encoding) != "conll":
        return reading
    columns = {column % 2 for column in (reading.column, reading.token_column or 0) if -2 <= column < 2}
    plain = replace(reading, column=-1, token_column=None, header=None)
    return plain if len(columns) < 2 and ConllFile(path, plain).n_columns == 2 else reading


def _find(model: str | None) -> Path:
    from ner_elmo.tagger.tagger import find_model

    return find_model(model)


def _text_of(model: str | None) -> str:
    from ner_elmo.tagger.store import read_info

    return str(read_info(_find(model))["text"]["tokens"])


def _tags_each_token(model: str | None) -> bool:
    from ner_elmo.tagger.store import read_info

    return bool(read_info(_find(model))["scheme"] == "token")


def _numbers_of_documents(corpora: Sequence[Corpus]) -> list[tuple[int, int] | None]:
    """Of each sentence the numbers of its file and of its document there, or None."""
    return [
        None if sentence.document is None else (number, sentence.document)
        for number, corpus in enumerate(corpora)
        for sentence in corpus.sentences
    ]


def _predict(
    gold: Sequence[LabelledSentence], documents: Sequence[tuple[int, int] | None], tagger: Tagger
) -> tuple[list[Sequence[Span]], float]:
    """The entities a tagger finds in the tokens of ``gold``, and how many seconds that took."""
    from ner_elmo.text.formats.labels import listed

    unknown = sorted({span.label for sentence in gold for span in sentence.spans} - set(tagger.labels))
    if unknown:
        names, known = listed(unknown), listed(tagger.labels)
        show.note(f"warning: labels that the model does not know count as missed: {names} (it knows {known})")
    begun = time.monotonic()
    found: list[Sequence[Span]] = [
        [span for span, _ in found_spans]
        for found_spans in tagger.tag_tokens([sentence.tokens for sentence in gold], scores=False, documents=documents)
    ]
    return found, time.monotonic() - begun


def require_same_tokens(gold: Sequence[Corpus], predicted: Corpus) -> None:
    """Hold a file of predictions to the sentences of the gold files, in their order.

    Raises:
        DataError: sentences are missing, added, or of other tokens; the first such is named.
    """
    expected = [(corpus.name, number, s) for corpus in gold for number, s in enumerate(corpus.sentences, start=1)]
    for index, ((name, number, one), other) in enumerate(zip(expected, predicted.sentences, strict=False)):
        if one.tokens != other.tokens:
            raise DataError(
                f"{predicted.name}:{predicted.lines[index]}: found the sentence {' '.join(other.tokens)[:60]!r} of "
                f"{len(other.tokens)} tokens, expected sentence {number} of {name}, {' '.join(one.tokens)[:60]!r} of "
                f"{len(one.tokens)}"
            )
    if len(expected) != len(predicted.sentences):
        raise DataError(
            f"{predicted.name}:{predicted.lines[-1]}: found {len(predicted.sentences)} sentences, expected as many as "
            f"in the gold standard: {len(expected)}"
        )


def _show(
    gold: Sequence[Sequence[Span]],
    predicted: Sequence[Sequence[Span]],
    lengths: Sequence[int],
    seconds: float,
    json: bool,
) -> None:
    from ner_elmo.tagger.report.scores import accuracy, count, scores, seqeval_report

    figures = scores(count(gold, predicted)) | {"accuracy": accuracy(gold, predicted, lengths)}
    n_tokens, speed = sum(lengths), sum(lengths) / max(seconds, 1e-9)
    if json:
        sizes = {"sentences": len(gold), "tokens": n_tokens, "tokens_per_second": speed}
        micro = {name: figures[name] for name in ("precision", "recall", "f1", "accuracy")}
        show.print_json(micro | sizes | {"labels": figures["labels"]})
    else:
        print(seqeval_report(gold, predicted, lengths))
        print(f"accuracy {figures['accuracy']:.4f} (of tags, by token)")
        print(f"{len(gold):,} sentences, {n_tokens:,} tokens; {speed:,.0f} tokens/s")
