"""``ner-elmo perplexity``: how well a biLM predicts a text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ner_elmo.cli import flags, show

NAME = "perplexity"
EXAMPLE = "ner-elmo perplexity heldout.txt --bilm my-bilm"


def command(
    text: Annotated[list[Path], typer.Argument(help="text files (plain, .gz, .xz, .zst)", metavar="TEXT...")],
    bilm: Annotated[Path, typer.Option("--bilm", help="biLM, run or tagger directory")],
    carry_state: Annotated[
        bool | None,
        typer.Option(
            "--carry-state/--zero-state",
            help="a sentence is read from the state that the one before left, or from zero [default: as in training]",
        ),
    ] = None,
    text_kind: flags.Text = None,
    encoding: flags.Encoding = "utf-8",
    errors: flags.Errors = "strict",
    device: flags.Device = "auto",
    threads: flags.Threads = None,
    batch_tokens: flags.BatchTokens = None,
    as_json: flags.Json = False,
    debug: flags.Debug = False,
) -> None:
    """Measure the perplexity of a biLM on held-out text, by the exact softmax.

    The text is read as the biLM's training text was (tokenised, one sentence a line, unless it was trained on raw
    text). Sentences start from the zero state, or where the model was trained with --carry-state, from the state that
    the sentence before left, the whole text being one reading.
    """
    from ner_elmo.bilm.data.corpus import find_files, read_sentences
    from ner_elmo.bilm.files.directory import find_bilm, load_bilm, load_softmax, load_vocabulary
    from ner_elmo.bilm.perplexity import DEFAULT_BATCH_TOKENS, held_out_perplexity
    from ner_elmo.text.examination import doubts_of_file
    from ner_elmo.text.files import require_text
    from ner_elmo.text.tokenizer import resolved

    paths, encoding = find_files(text), flags.decoding_of(encoding, errors)
    kind = None if text_kind is None else resolved(text_kind)
    chosen = flags.set_up_torch(device, threads)
    files = find_bilm(bilm)
    kind = kind or files.checked_tokenizer()
    for path in paths:
        require_text(path, encoding)
        for doubt in doubts_of_file(path, encoding):
            show.note(f"warning: {doubt}")
    model = load_bilm(files)
    vocabulary = load_vocabulary(files)
    softmax = load_softmax(files, vocabulary, model.options.lstm.projection_dim)
    result = held_out_perplexity(
        model.to(chosen),
        softmax.to(chosen),
        vocabulary,
        read_sentences(paths, kind, encoding),
        batch_tokens or DEFAULT_BATCH_TOKENS,
        files.info.get("state") == "carried" if carry_state is None else carry_state,
    )
    if as_json:
        show.print_json(result.to_json())
        return
    print(f"perplexity {result.mean:.2f} (forward {result.forward:.2f}, backward {result.backward:.2f})")
    print(
        f"{result.tokens:,} tokens, {result.predictions:,} predictions in each direction, "
        f"{result.unk_rate:.2%} unknown; vocabulary of {len(vocabulary):,} words ({result.vocabulary[:12]})"
    )
    reading = "each sentence from the zero state" if result.state == "zero" else "one reading, the state carried on"
    print(reading + (" (as the model was trained)" if result.state == files.info.get("state") else ""))
