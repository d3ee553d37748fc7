"""``ner-elmo evaluate``: how well a tagger finds the entities of labelled files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ner_elmo.cli import flags, show
from ner_elmo.errors import UsageError
from ner_elmo.runs.memory import collect_rarely
from ner_elmo.settings import Source, build
from ner_elmo.text.formats.conll import Reading

if TYPE_CHECKING:
    from ner_elmo.library.evaluation import Compared

NAME = "evaluate"
EXAMPLE = "ner-elmo evaluate test.conll -m my-tagger"


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
    from ner_elmo.library.evaluation import compare, compare_with_file, read_gold, reading_for

    if predictions is not None and model is not None:
        raise UsageError("--predictions scores a file and -m a model; expected one of them")
    reading = build(Reading, [Source("", given)])
    display = show.Display()
    if predictions is not None:
        _show(compare_with_file(read_gold(files, reading, display), predictions, reading, display), json)
        return
    torch_device = flags.set_up_torch(device, threads)
    gold = read_gold(files, reading_for(files, model, reading), display)
    from ner_elmo.tagger.tagger import Tagger

    show.model_in_use(model)
    tagger = Tagger.load(model, device=torch_device, precision=precision, batch_tokens=batch_tokens)
    collect_rarely()
    _show(compare(gold, tagger, display), json)


def _show(compared: Compared, json: bool) -> None:
    from ner_elmo.tagger.report.scores import seqeval_report

    figures = compared.figures
    speed = figures["tokens"] / max(compared.seconds, 1e-9)
    if json:
        labels = {"labels": figures["labels"]}
        show.print_json(
            {name: value for name, value in figures.items() if name != "labels"} | {"tokens_per_second": speed} | labels
        )
    else:
        print(seqeval_report(compared.gold, compared.found, compared.lengths))
        print(f"accuracy {figures['accuracy']:.4f} (of tags, by token)")
        print(f"{figures['sentences']:,} sentences, {figures['tokens']:,} tokens; {speed:,.0f} tokens/s")
