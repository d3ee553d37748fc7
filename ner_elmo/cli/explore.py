"""``ner-elmo explore``: what is nearest to a word in its context, layer by layer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ner_elmo.cli import flags, show

NAME = "explore"
EXAMPLE = "ner-elmo explore 'the [bank] of the river' --bilm my-bilm --text text.txt"


def command(
    query: Annotated[
        str,
        typer.Argument(help="a sentence with the word in brackets: 'He went to the [play] in London'", metavar="QUERY"),
    ],
    bilm: Annotated[
        Path, typer.Option("--bilm", help="biLM, run or tagger directory, or the name of a model that ships")
    ],
    corpus: Annotated[
        list[Path] | None,
        typer.Option("--text", help="text files or folders to look in; several: repeated", metavar="CORPUS"),
    ] = None,
    index: Annotated[
        Path | None,
        typer.Option(
            "--index", help="folder of the index, made if it is not there [default: in the user's cache]", metavar="DIR"
        ),
    ] = None,
    max_tokens: Annotated[
        int,
        typer.Option("--max-tokens", min=1, help="tokens of the text to look in; a million takes 1 GB with models/en"),
    ] = 1_000_000,
    neighbours: Annotated[int, typer.Option("--neighbours", min=1, max=1000, help="how many to show of each")] = 10,
    word_vectors: Annotated[
        Path | None, typer.Option("--word-vectors", help="static vectors to compare with, beside the biLM's own")
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="write a page with maps to this file", metavar="FILE")
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind",
            help="how the text and the query are split: a language's code, en-1, characters, whitespace",
            show_default=False,
        ),
    ] = None,
    encoding: flags.Encoding = "utf-8",
    errors: flags.Errors = "strict",
    force: flags.Force = False,
    device: flags.Device = "auto",
    threads: flags.Threads = None,
    batch_tokens: flags.BatchTokens = None,
    as_json: flags.Json = False,
    debug: flags.Debug = False,
) -> None:
    """Show what stands nearest to a word in its context, over a text, for each layer of a biLM.

    Beside it: the nearest words by vectors that know no context. The text is read once and kept as an index; asking
    again takes seconds. The text is one tokenised sentence a line if the biLM was trained on such text, else raw.
    """
    from ner_elmo.elmo.encoder import Elmo
    from ner_elmo.explore.opening import (
        explorer,
        open_index,
        query_kind,
        word_vectors_of_file,
        word_vectors_of_tagger,
    )
    from ner_elmo.explore.query import read_query
    from ner_elmo.pages.explore_page import explore_page, explore_text
    from ner_elmo.text.files import replace_file, require_file, write_text

    if word_vectors is not None:
        require_file(word_vectors, "file of word vectors")
    if html is not None:
        flags.refuse_existing(html, force)
    encoding = flags.decoding_of(encoding, errors)
    chosen = flags.set_up_torch(device, threads)
    elmo = Elmo.load(bilm, device=chosen, batch_tokens=batch_tokens)
    asked = read_query(query, query_kind(elmo, kind))
    with show.Display() as display:
        occurrences = open_index(elmo, corpus or [], index, display, kind, encoding, max_tokens)
    of_tagger = word_vectors_of_tagger(elmo.path.parent if elmo.path.name == "bilm" else elmo.path)
    static = [] if of_tagger is None else [of_tagger]
    if word_vectors is not None:
        static.append(word_vectors_of_file(word_vectors, occurrences))
    found = explorer(elmo, occurrences, static).ask(asked, neighbours).to_dict()
    if html is not None:
        with replace_file(html) as temporary:
            write_text(temporary, explore_page(found))
        show.note(f"{html}: the page")
    if as_json:
        show.print_json(found)
    else:
        print(show.printable(explore_text(found)))
