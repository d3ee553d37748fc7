"""``ner-elmo convert``: a labelled file, or a model, in another format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ner_elmo.cli import flags, show
from ner_elmo.settings import Source, build
from ner_elmo.text.formats.conll import Reading

NAME = "convert"
EXAMPLE = """\
ner-elmo convert export.jsonl train.conll --to bioes
ner-elmo convert my-bilm my-bilm-small --to float16
"""


@flags.takes_settings(Reading)
def command(
    given: dict[str, Any],
    path: Annotated[
        str,
        typer.Argument(
            help="labelled file of any kind that --from names, or a folder of BRAT's; or a biLM, run or tagger "
            "directory, or a weights file",
            metavar="IN",
        ),
    ],
    target: Annotated[Path, typer.Argument(help="file or directory to write; - is standard output", metavar="OUT")],
    to: Annotated[
        str,
        typer.Option(
            "--to",
            help="iob1, iob2, bioes, bmes, none, token, conll (iob2); jsonl, brat, doccano, label-studio, prodigy, "
            "webanno, conllu, hf, docbin, parquet; segmentation, lexical; float16, float32, bilm-tf",
        ),
    ],
    force: flags.Force = False,
    debug: flags.Debug = False,
) -> None:
    """Write labelled data, or a biLM, in another format.

    Labelled data, there and back without loss: the tag schemes keep the other columns; jsonl is what tag writes; brat
    is X.txt and X.ann, a unit a line, or a folder of pairs. What BRAT, or columns made of raw text, have no place for
    lies beside them in X.units.jsonl. To the other formats of labelled text: a line says what they have no place for.
    Characters with their positions in words, as in Weibo NER: segmentation makes
    the words spans, lexical the entities and the words outside of them. A biLM: float16 halves it, float32 undoes that
    (not the rounding), and bilm-tf writes the options.json and weights.hdf5 that bilm-tf and AllenNLP read.
    """
    from ner_elmo.library.data import MODEL_FORMATS, convert

    notices = convert(path, target, to=to, reading=build(Reading, [Source("", given)]), force=force)
    written = [f"{target}: written as {to}"] if str(target) != "-" else []
    for line in (*written, *notices) if to in MODEL_FORMATS else (*notices, *written):
        show.note(line)
