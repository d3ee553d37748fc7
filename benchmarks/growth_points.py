"""One point of a curve of ``growth.py``, in this process: prints tokens, seconds and peak memory as JSON."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count, islice
from pathlib import Path
from typing import Any

from benchmarks.worker import peak_bytes
from ner_elmo.text.files import read_lines

Result = dict[str, float]
TURNS, LONG = 3, 4.0  # turns of which the fastest counts; one, if it takes so many seconds
SENTENCE = 20  # tokens of a made-up sentence
WORD_DIM = 100
LONG_WORD = re.compile(r"\S{8,}")
READ_AGAIN = 20_000_000  # tokens of a text that is counted whole are made into batches, at most


class Asked(argparse.Namespace):
    """``curve``, ``value``, and what it needs: ``text`` (files), ``model``, ``folder``."""

    curve: str
    value: int
    text: list[Path]
    model: str
    folder: Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("curve", choices=POINTS)
    parser.add_argument("value", type=int)
    parser.add_argument("--text", type=Path, nargs="+", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    asked = parser.parse_args(namespace=Asked())
    found = POINTS[asked.curve](asked)
    found.setdefault("peak_mb", round(peak_bytes() / 1e6))
    print(json.dumps(found | {"seconds": round(found["seconds"], 4)}))


def fastest(work: Callable[[], object], tokens: int) -> Result:
    """Of some turns, in seconds of the processor."""
    times: list[float] = []
    while len(times) < TURNS and (not times or times[0] < LONG):
        begun = time.process_time()
        work()
        times.append(time.process_time() - begun)
    return {"tokens": tokens, "seconds": min(times)}


def sentences_of(asked: Asked) -> Iterator[list[str]]:
    """Those of the text."""
    return (line.split() for file in asked.text for line in read_lines(file) if line.strip())


# ---- tagging with a biLM --------------------------------------------------------------------------------------------


def sentence(asked: Asked) -> Result:
    """One sentence of ``value`` tokens a call; short ones many times."""
    from ner_elmo import Tagger

    tokens = list(islice((token for one in sentences_of(asked) for token in one), max(asked.value, 1000)))
    several = [tokens[start : start + asked.value] for start in range(0, len(tokens), asked.value)]
    tagger = Tagger.load(asked.model)
    list(tagger.tag_tokens(one[:1000] for one in several))
    return fastest(lambda: [list(tagger.tag_tokens([one])) for one in several], len(tokens))


def batch(asked: Asked) -> Result:
    """Sentences of the text by batches of ``value`` tokens; two chunks at least."""
    from ner_elmo import Tagger

    several = list(some_tokens(sentences_of(asked), max(20_000, 2 * asked.value)))
    tagger = Tagger.load(asked.model, batch_tokens=asked.value)
    list(tagger.tag_tokens(several[:50]))
    return fastest(lambda: list(tagger.tag_tokens(several)), sum(map(len, several)))


def some_tokens(sentences: Iterator[list[str]], least: int) -> Iterator[list[str]]:
    held = 0
    for one in sentences:
        yield one
        held += len(one)
        if held >= least:
            return


# ---- labels and words -----------------------------------------------------------------------------------------------


def made_up(
    n_labels: int, n_words: int, n_sentences: int, words: Any, scheme: str = "bioes"
) -> tuple[list[str], list[Any]]:
    """The tag set of ``n_labels``, and sentences of words by chance, in each an entity of two tokens."""
    from ner_elmo.tagger.network.inputs import make_examples
    from ner_elmo.text.formats.corpus import LabelledSentence
    from ner_elmo.text.tag_scheme import Span, tag_set

    drawn = random.Random(1)
    names = tag_set([f"L{number:03}" for number in range(n_labels)], scheme)
    index = {name: number for number, name in enumerate(names)}
    sentences = []
    for _ in range(n_sentences):
        tokens = tuple(f"w{drawn.randrange(n_words)}" for _ in range(SENTENCE))
        start, label = drawn.randrange(SENTENCE - 1), f"L{drawn.randrange(n_labels):03}"
        sentences.append(LabelledSentence(tokens, [Span(start, start + 2, label)]))
    return names, make_examples(sentences, words, index, scheme)


def network(names: list[str], n_words: int, n_learned: int) -> Any:
    """Without a biLM; random weights."""
    import torch

    from ner_elmo.tagger.network.model import TaggerModel
    from ner_elmo.tagger.network.options import TaggerOptions

    torch.manual_seed(1)
    options = TaggerOptions(tags=names, n_words=n_words, n_tuned_words=n_learned, word_dim=WORD_DIM)
    model = TaggerModel(options)
    model.reset_parameters()
    return model


def word_list(n_words: int, n_learned: int) -> Any:
    from ner_elmo.tagger.network.inputs import PAD_WORD, UNKNOWN_WORD, Words

    return Words([PAD_WORD, UNKNOWN_WORD, *(f"w{number}" for number in range(n_words - 2))], n_learned)


def labels_tagging(asked: Asked) -> Result:
    from ner_elmo.tagger.decoding import predict_scored

    words = word_list(10_000, 10_000)
    names, examples = made_up(asked.value, 9_000, 50 if asked.value > 100 else 500, words)
    model = network(names, len(words), len(words)).eval()
    model.prepare_for_inference("fp32")
    predict_scored(model, examples[:2])
    return fastest(lambda: predict_scored(model, examples), SENTENCE * len(examples))


def labels_training(asked: Asked) -> Result:
    return training(asked.value, 10_000, 10_000, 64 if asked.value > 100 else 640)


def words_fixed(asked: Asked) -> Result:
    return training(4, asked.value, 10_000, 640)


def words_learned(asked: Asked) -> Result:
    return training(4, asked.value, asked.value, 320)


def training(n_labels: int, n_words: int, n_learned: int, n_sentences: int) -> Result:
    """One epoch, in the batches that train-tagger has by itself."""
    import numpy as np

    from ner_elmo.tagger.training import loop
    from ner_elmo.tagger.training.config import TrainingOptions

    words = word_list(n_words, n_learned)
    names, examples = made_up(n_labels, n_words - 2, n_sentences, words)
    options = TrainingOptions(precision="fp32")
    state = loop.start(network(names, n_words, n_learned), options)

    def epoch(several: Sequence[Any]) -> None:
        data = loop.TrainingData(list(several), [], [], words)
        loop._train_once(state, data, options, "cpu", np.random.default_rng(1), None)

    epoch(examples[:32])
    return fastest(lambda: epoch(examples), SENTENCE * len(examples))


def words_tagging(asked: Asked) -> Result:
    """From loading on: the words are written by another process."""
    from ner_elmo import Tagger

    folder = asked.folder / f"words-{asked.value}"
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pool.apply(write_words, (folder, asked.value))
    begun = time.process_time()
    tagger = Tagger.load(folder)
    loading = time.process_time() - begun
    drawn = random.Random(1)
    several = [[f"w{drawn.randrange(asked.value)}" for _ in range(SENTENCE)] for _ in range(500)]
    list(tagger.tag_tokens(several[:5]))
    found = fastest(lambda: list(tagger.tag_tokens(several)), SENTENCE * len(several))
    return found | {"seconds_to_load": round(loading, 2)}


def write_words(folder: Path, n_words: int) -> None:
    from ner_elmo.tagger.store import write_tagger
    from ner_elmo.text.tag_scheme import tag_set

    model = network(tag_set(["A", "B", "C", "D"], "bioes"), n_words, 10_000)
    write_tagger(folder, model, word_list(n_words, 10_000), {"text": {"tokens": "en-1"}})


# ---- pretraining's vocabulary ---------------------------------------------------------------------------------------


def vocabulary_sampled(asked: Asked) -> Result:
    """Steps of the shape of models/en."""
    import torch

    from benchmarks.pretraining import BATCH_TOKENS, OPTIONS, SAMPLES
    from ner_elmo.bilm.data.batches import training_batches
    from ner_elmo.bilm.pretraining.config import PretrainConfig
    from ner_elmo.bilm.pretraining.trainer import new_trainer
    from ner_elmo.text.vocabulary import SPECIALS, Vocabulary

    several = list(some_tokens(sentences_of(asked), 5 * BATCH_TOKENS))
    frequent = dict.fromkeys(token for one in several for token in one)
    forms = [*frequent, *(f"made-up-{number}" for number in range(asked.value))]
    vocabulary = Vocabulary([*SPECIALS, *(one for one in forms if one not in SPECIALS)][: asked.value])
    config = PretrainConfig(
        corpus=[str(asked.text[0])], options=OPTIONS, batch_tokens=BATCH_TOKENS, n_samples=SAMPLES, softmax="sampled"
    )
    trainer = new_trainer(config, vocabulary, None, 10**9, torch.device("cpu"))
    batches = list(training_batches(lambda: iter(several), BATCH_TOKENS, 1, 0))
    full = sorted(batches, key=lambda one: -sum(map(len, one)))[:4]
    trainer.train_on(full[0])
    n_tokens = sum(len(one) for made in full[1:] for one in made)
    return fastest(lambda: [trainer.train_on(made) for made in full[1:]], n_tokens)


def vocabulary_exact(asked: Asked) -> Result:
    """What the output layer takes for each token, both directions."""
    import torch

    from ner_elmo.bilm.softmax import Softmax

    torch.manual_seed(1)
    softmax = Softmax(asked.value, 128)
    softmax.reset_parameters()
    n_tokens = 1024 if asked.value <= 100_000 else 256
    y, targets = torch.randn(2 * n_tokens, 128), torch.randint(asked.value, (2 * n_tokens,))
    softmax.losses(y[:256], targets[:256])
    return fastest(lambda: softmax.losses(y, targets), n_tokens)


# ---- whole commands -------------------------------------------------------------------------------------------------


def text_of(asked: Asked, n_bytes: int) -> tuple[Path, int]:
    """A file of so many bytes of the text, and its tokens. Where the text ends before, it is read again, with the
    number of the round on each word of 8 letters or more: new words and new sentences, as more text would have."""
    path = asked.folder / f"text-{n_bytes}.txt"
    written = tokens = 0
    with open(path, "w", encoding="utf-8", newline="\n") as stream:
        for number, line in rounds(asked):
            if number:
                line = LONG_WORD.sub(rf"\g<0>{number}", line)
            written += stream.write(line + "\n")
            tokens += line.count(" ") + 1
            if written >= n_bytes:
                break
    return path, tokens


def rounds(asked: Asked) -> Iterator[tuple[int, str]]:
    for number in count():
        for file in asked.text:
            for line in read_lines(file):
                yield number, line


def command(*arguments: str) -> Result:
    """``ner-elmo``: seconds of the processor and of the clock, and the peak memory of the largest process."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run([sys.executable, "-m", "ner_elmo", *arguments], check=True, stdout=subprocess.DEVNULL)
    clock, after = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu": cpu, "clock": clock, "peak_mb": round(1024 * after.ru_maxrss / 1e6)}


def tagged(asked: Asked, model: str, n_bytes: int, *flags: str, by: str = "cpu") -> Result:
    """``tag`` on so much text, less its start; the fastest of turns where it is by the clock."""
    out = str(asked.folder / "tagged.jsonl")
    tiny, _ = text_of(asked, 100)
    text, tokens = text_of(asked, n_bytes)

    def once(path: Path) -> Result:
        return command("tag", str(path), "-m", model, "--tokenized", "-f", "jsonl", "-o", out, "--force", *flags)

    turns = TURNS if by == "clock" else 1
    start = min(once(tiny)[by] for _ in range(turns))
    runs = [once(text) for _ in range(turns)]
    text.unlink()
    seconds = min(run[by] for run in runs) - start
    return {"tokens": tokens, "seconds": seconds, "start": round(start, 2), "peak_mb": max(r["peak_mb"] for r in runs)}


def corpus_tag(asked: Asked) -> Result:
    return tagged(asked, str(asked.folder / "small"), asked.value * 10**6, "--threads", "1")


def corpus_tag_en(asked: Asked) -> Result:
    return tagged(asked, asked.model, asked.value * 10**6, "--threads", "1")


def corpus_read(asked: Asked) -> Result:
    """All that pretrain does with a text beside the network: count it, choose words, read it again, make batches. Of a
    large text the second reading is that of its beginning, its time that of as many tokens more."""
    from ner_elmo.bilm.data.batches import training_batches
    from ner_elmo.bilm.pretraining.config import PretrainConfig
    from ner_elmo.bilm.pretraining.preparation import prepare

    text, tokens = text_of(asked, asked.value * 10**6)
    begun = time.process_time()
    prepared = prepare(PretrainConfig(corpus=[str(text)], text="tokenized"), "cpu", lambda event: None)
    counting = time.process_time() - begun
    n_read = 0
    for made in training_batches(prepared.own_source.sentences, 4096, 1, 0):
        n_read += sum(map(len, made))
        if n_read >= READ_AGAIN:
            break
    reading = time.process_time() - begun - counting
    text.unlink()
    seconds = counting + reading * (prepared.n_tokens / n_read)
    return {"tokens": tokens, "seconds": seconds, "counting": round(counting, 2), "in_batches": n_read}


def threads(asked: Asked) -> Result:
    return tagged(asked, asked.model, 400_000, "--threads", str(asked.value), by="clock")


def processes(asked: Asked) -> Result:
    return tagged(asked, asked.model, 400_000, "--processes", str(asked.value), by="clock")


POINTS: dict[str, Callable[[Asked], Result]] = {
    "sentence": sentence,
    "batch": batch,
    "labels-tagging": labels_tagging,
    "labels-training": labels_training,
    "words-tagging": words_tagging,
    "words-fixed": words_fixed,
    "words-learned": words_learned,
    "vocabulary-sampled": vocabulary_sampled,
    "vocabulary-exact": vocabulary_exact,
    "corpus-tag": corpus_tag,
    "corpus-tag-en": corpus_tag_en,
    "corpus-read": corpus_read,
    "threads": threads,
    "processes": processes,
}


if __name__ == "__main__":
    main()
