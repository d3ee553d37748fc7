"""``ner-elmo evaluate``: how well a tagger finds the entities of labelled files."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from ner_elmo.cli import options

NAME = "evaluate"


def command(
    files: Annotated[list[str], typer.Argument(metavar="CONLL...", help="labelled files; - is standard input")],
    model: Annotated[str | None, typer.Option("--model", "-m", help="tagger directory or name [default: en]")] = None,
    column: Annotated[int, typer.Option("--column", help="column of the tags; the token is 0, -1 is the last")] = -1,
    scheme: Annotated[
        str, typer.Option("--scheme", help="tag scheme of the files: auto, iob1, iob2, bioes, bmes, none")
    ] = "auto",
    encoding: options.Encoding = "utf-8",
    json: options.Json = False,
    device: options.Device = "auto",
    threads: options.Threads = None,
    batch_tokens: options.BatchTokens = None,
    debug: options.Debug = False,
) -> None:
    """Compare a tagger's entities with those of CoNLL files, all files together.

    An entity is right if its start, end and label are. The tag scheme of the files need not be the tagger's.
    """
    from ner_elmo.text.corpus import load_corpus

    corpora = [load_corpus(file, column, scheme, encoding) for file in files]
    sentences = [sentence for corpus in corpora for sentence in corpus.sentences]
    for corpus in corpora:
        if corpus.repaired:
            options.note(
                f"warning: {corpus.name}: {corpus.repaired} tags are ill-formed in {corpus.scheme}; "
                "read as conlleval reads them"
            )

    torch_device = options.set_up_torch(device, threads)
    from ner_elmo.tagger.evaluation import count, scores, seqeval_report
    from ner_elmo.tagger.prediction import Tagger, find_model

    if model is None:
        options.note(f"no -m: using the model that ships, {find_model(None).name}")
    tagger = Tagger.load(model, device=torch_device, batch_tokens=batch_tokens)
    gold = [sentence.spans for sentence in sentences]
    unknown = sorted({span.label for spans in gold for span in spans} - set(tagger.labels))
    if unknown:
        names, known = ", ".join(unknown), ", ".join(tagger.labels)
        options.note(f"warning: labels that the model does not know count as missed: {names} (it knows {known})")
    begun = time.monotonic()
    tokens = [sentence.tokens for sentence in sentences]
    predicted = [[span for span, _ in found] for found in tagger.tag_tokens(tokens)]
    seconds = time.monotonic() - begun
    n_tokens = sum(map(len, tokens))
    figures = scores(count(gold, predicted))
    if json:
        sizes = {"sentences": len(sentences), "tokens": n_tokens, "tokens_per_second": n_tokens / max(seconds, 1e-9)}
        micro = {name: figures[name] for name in ("precision", "recall", "f1")}
        options.print_json(micro | sizes | {"labels": figures["labels"]})
    else:
        print(seqeval_report(gold, predicted, [len(sentence) for sentence in tokens]))
        print(f"{len(sentences):,} sentences, {n_tokens:,} tokens; {n_tokens / max(seconds, 1e-9):,.0f} tokens/s")
