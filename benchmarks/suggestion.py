"""Does ``suggest`` choose better sentences to label than chance does?

A tagger is trained on a few labelled sentences. From all others, taken as unlabelled, ``suggest`` names as many again,
and others are drawn at random: as many sentences, and as many tokens, since doubtful sentences are long. Their labels
are looked up, as if people had given them, and a tagger is trained on each. Printed is F1 on the test file, for each
seed (which draws the first sentences, the random ones, and trains).

    python benchmarks/suggestion.py --pool POOL --dev DEV --test TEST --bilm BILM [--start 100] [--more 100] [--seeds 3]
        [--first-of-pool N] [--first-of-dev N] [--per token|sentence]
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
from bisect import bisect_left
from itertools import accumulate
from pathlib import Path

Lines = list[str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("pool", "dev", "test", "bilm"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--start", type=int, default=100, help="sentences to begin with")
    parser.add_argument("--more", type=int, default=100, help="sentences to add")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--first-of-pool", type=int, help="take so many sentences of the pool only")
    parser.add_argument("--first-of-dev", type=int, help="the same of the dev file")
    parser.add_argument("--per", choices=("token", "sentence"), default="token", help="as of suggest")
    given = parser.parse_args()
    sentences = read_sentences(given.pool, given.first_of_pool)
    print("seed  first  random  as many tokens  suggested  (tokens added)", flush=True)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        given.dev = written(read_sentences(given.dev, given.first_of_dev), Path(folder) / "dev.conll")
        for seed in range(1, given.seeds + 1):
            found.append(scores(sentences, seed, Path(folder), given))
    for name, place in (("as many sentences", 1), ("as many tokens", 2)):
        differences = [one[3] - one[place] for one in found]
        spread = statistics.stdev(differences) if len(differences) > 1 else 0.0
        print(f"suggested less random, {name}: {statistics.mean(differences):+.2f} ± {spread:.2f}")


def scores(sentences: list[Lines], seed: int, folder: Path, given: argparse.Namespace) -> list[float]:
    """F1 after the first sentences, with random ones, with as many tokens of random ones, with suggested ones."""
    order = random.Random(seed).sample(sentences, len(sentences))
    first, rest = order[: given.start], order[given.start :]
    f1 = [f1_of(first, seed, folder / f"first-{seed}", given)]
    chosen = suggested(rest, folder / f"first-{seed}", given)
    n_tokens = sum(map(len, chosen))
    lengths = list(accumulate(map(len, rest)))
    by_tokens = rest[: bisect_left(lengths, n_tokens) + 1]
    for name, added in (("random", rest[: given.more]), ("tokens", by_tokens), ("suggested", chosen)):
        f1.append(f1_of(first + added, seed, folder / f"{name}-{seed}", given))
    print(
        f"{seed:>4}{f1[0]:>7.2f}{f1[1]:>8.2f}{f1[2]:>16.2f}{f1[3]:>11.2f}  "
        f"({lengths[given.more - 1]:,}, {sum(map(len, by_tokens)):,} in {len(by_tokens)} sentences, {n_tokens:,})",
        flush=True,
    )
    return f1


def read_sentences(path: Path, most: int | None = None) -> list[Lines]:
    """The lines of each different sentence of a CoNLL file, of its first ``most``."""
    parts = path.read_text(encoding="utf-8").split("\n\n")
    parts = [part for part in parts if part.strip() and not part.startswith("-DOCSTART-")]
    found = {}
    for part in parts[:most]:
        lines = [line for line in part.split("\n") if line.strip()]
        found[" ".join(words_of(lines))] = lines
    return list(found.values())


def written(sentences: list[Lines], file: Path) -> Path:
    """A CoNLL file with the sentences."""
    file.write_text("".join("\n".join(lines) + "\n\n" for lines in sentences), encoding="utf-8")
    return file


def words_of(lines: Lines) -> list[str]:
    return [line.split()[0] for line in lines]


def suggested(rest: list[Lines], model: Path, given: argparse.Namespace) -> list[Lines]:
    """The labelled sentences that a model suggests; texts are tokens joined by blanks, split there again."""
    by_text = {" ".join(words_of(lines)): lines for lines in rest}
    text = model.with_suffix(".txt")
    text.write_text("".join(f"{line}\n" for line in by_text), encoding="utf-8")
    out = ner_elmo("suggest", text, "-m", model, "-n", given.more, "--per", given.per)
    chosen = [by_text[line] for line in out.splitlines() if line in by_text]
    if len(chosen) < given.more:
        print(f"  {given.more - len(chosen)} of {given.more} suggestions are parts of sentences, which are left out")
    return chosen


def f1_of(train: list[Lines], seed: int, folder: Path, given: argparse.Namespace) -> float:
    """Train a tagger in ``folder``, and its F1 on the test file, in percent."""
    file = written(train, folder.with_suffix(".conll"))
    options = ["--epochs", given.epochs, "--patience", given.epochs, "--batch-sentences", 8, "--seed", seed]
    files = ["--train", file, "--dev", given.dev, "--bilm", given.bilm, "--text", "whitespace"]
    ner_elmo("train-tagger", *files, *options, "-o", folder)
    return 100 * float(json.loads(ner_elmo("evaluate", given.test, "-m", folder, "--json"))["f1"])


def ner_elmo(*arguments: object) -> str:
    """Run the command line; what it prints."""
    command = [sys.executable, "-m", "ner_elmo", *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout


if __name__ == "__main__":
    main()
