"""Train static word vectors on raw text with gensim, and write them in GloVe's text format.

    pip install gensim
    python data/train_word_vectors.py text.txt.xz -o vectors.txt.xz

The text is the one that ``ner-elmo pretrain`` reads: one tokenised sentence a line. Skip-gram with negative sampling
(Mikolov et al. 2013); the output goes to ``ner-elmo train-tagger --word-vectors``.
"""

from __future__ import annotations

import argparse
import lzma
import tempfile
from pathlib import Path

from gensim.models import Word2Vec

from ner_elmo.text.files import read_lines


def write_vectors(model: Word2Vec, path: Path, n_words: int) -> int:
    """The most frequent words first, a line each: the word, then its numbers. Returns how many were written."""
    opener = lzma.open if path.suffix == ".xz" else open
    words = model.wv.index_to_key[:n_words]
    with opener(path, "wt", encoding="utf-8") as stream:
        for word in words:
            stream.write(word + " " + " ".join(f"{value:.5f}" for value in model.wv[word]) + "\n")
    return len(words)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text", nargs="+", type=Path, help="text files (plain, .gz, .xz)")
    parser.add_argument("-o", "--output", type=Path, required=True, help="vectors file to write (.txt or .txt.xz)")
    parser.add_argument("--dim", type=int, default=100)
    parser.add_argument("--window", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--min-count", type=int, default=5)
    parser.add_argument("--words", type=int, default=50_000, help="most frequent words to write")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".txt") as plain:
        # gensim's fast path reads one plain file, several threads at once.
        for path in arguments.text:
            for line in read_lines(path):
                plain.write(" ".join(line.split()) + "\n")
        plain.flush()
        model = Word2Vec(
            corpus_file=plain.name,
            sg=1,
            negative=5,
            sample=1e-4,
            vector_size=arguments.dim,
            window=arguments.window,
            epochs=arguments.epochs,
            min_count=arguments.min_count,
            workers=arguments.threads,
            seed=arguments.seed,
        )
    n_words = write_vectors(model, arguments.output, arguments.words)
    size = f"{n_words:,} words, {arguments.dim} numbers each"
    print(f"{arguments.output}: {size}, from {model.corpus_total_words:,} tokens")


if __name__ == "__main__":
    main()
