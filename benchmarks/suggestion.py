"""Does ``suggest`` choose better sentences to label than chance does?

A tagger is trained on a few labelled sentences. From all others, taken as unlabelled, ``suggest`` names as many again,
and as many are drawn at random; their labels are looked up, as if people had given them, and a tagger is trained on
each. Printed is F1 on the test file, for each seed (which draws the first sentences, the random ones, and trains).

    python benchmarks/suggestion.py --pool POOL --dev DEV --test TEST --bilm BILM [--start 100] [--more 100] [--seeds 3]
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
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
    given = parser.parse_args()
    sentences = read_sentences(given.pool)
    differences = []
    print("seed  first  random  suggested", flush=True)
    for seed in range(1, given.seeds + 1):
        order = random.Random(seed).sample(sentences, len(sentences))
        first, rest = order[: given.start], order[given.start :]
        with tempfile.TemporaryDirectory() as folder:
            of_first = f1_of(first, seed, Path(folder) / "first", given)
            of_random = f1_of(first + rest[: given.more], seed, Path(folder) / "random", given)
            chosen = suggested(rest, Path(folder) / "first", given.more)
            of_chosen = f1_of(first + chosen, seed, Path(folder) / "suggested", given)
        differences.append(of_chosen - of_random)
        print(f"{seed:>4}{of_first:>7.2f}{of_random:>8.2f}{of_chosen:>11.2f}", flush=True)
    spread = statistics.stdev(differences) if len(differences) > 1 else 0.0
    print(f"suggested less random: {statistics.mean(differences):+.2f} ± {spread:.2f}")


def read_sentences(path: Path) -> list[Lines]:
    """The lines of each different sentence of a CoNLL file."""
    found = {}
    for part in path.read_text(encoding="utf-8").split("\n\n"):
        lines = [line for line in part.split("\n") if line.strip()]
        found[" ".join(words_of(lines))] = lines
    return [lines for lines in found.values() if lines]


def words_of(lines: Lines) -> list[str]:
    return [line.split()[0] for line in lines]


def suggested(rest: list[Lines], model: Path, number: int) -> list[Lines]:
    """The labelled sentences that a model suggests; texts are tokens joined by blanks, split there again."""
    by_text = {" ".join(words_of(lines)): lines for lines in rest}
    text = model.with_suffix(".txt")
    text.write_text("".join(f"{line}\n" for line in by_text), encoding="utf-8")
    out = ner_elmo("suggest", text, "-m", model, "-n", number)
    chosen = [by_text[line] for line in out.splitlines() if line in by_text]
    if len(chosen) < number:
        print(f"  {number - len(chosen)} of {number} suggestions are parts of sentences, which are left out")
    return chosen


def f1_of(train: list[Lines], seed: int, folder: Path, given: argparse.Namespace) -> float:
    """Train a tagger in ``folder``, and its F1 on the test file, in percent."""
    file = folder.with_suffix(".conll")
    file.write_text("".join("\n".join(lines) + "\n\n" for lines in train), encoding="utf-8")
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
