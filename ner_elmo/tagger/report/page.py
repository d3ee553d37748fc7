"""``report.md`` and ``report.html``: what ``report.json`` says, for people, with the errors that recur.

The errors are shown with their sentences, so these two files hold text of the corpus; ``report.json`` and the model
card do not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ner_elmo.pages.page import Block, Heading, Item, Paragraph, Pictures, Piece, Table
from ner_elmo.tagger.report import charts as charts
from ner_elmo.tagger.report.errors import LENGTHS, ErrorExample, Recurring
from ner_elmo.tagger.report.scores import MOST_ROWS, Counts, most_frequent_in
from ner_elmo.text.tag_scheme import TOKEN, Span

_CONTEXT = 12  # tokens shown on either side of an error
_KINDS = {
    "missed": "a gold entity where none was found",
    "spurious": "an entity found where there is none",
    "wrong label": "another label, whatever its bounds",
    "wrong bounds": "the right label with another start or end",
}


def main_part(report: Mapping[str, Any]) -> str:
    """The part whose figures count: ``test``, or ``dev`` where there is none."""
    return "test" if "test" in report["scores"] else "dev"


def title_of(report: Mapping[str, Any]) -> str:
    """What the page is about."""
    return f"A tagger trained on {report['protocol']['data']['train']['file']}"


def report_blocks(
    report: Mapping[str, Any], errors: Sequence[Recurring] = (), kinds: Mapping[str, int] | None = None
) -> Iterator[Block]:
    """The page of one run.

    Args:
        errors: those that recur on :func:`main_part`, and ``kinds``: how many there are of each kind.
    """
    part = main_part(report)
    yield from _headline(report, part)
    yield from _members(report)
    yield from _protocol(report)
    yield from _learning(report)
    yield from _by_label(report, part)
    yield from _confusion(report, part)
    yield from _mix(report)
    yield from _by_length(report, part)
    yield from _calibration(report)
    yield from _errors(part, errors, kinds or {})


def percent(share: float) -> str:
    """``0.88504`` → ``88.50``."""
    return f"{100 * share:.2f}"


def interval_of(ends: Sequence[float] | None) -> str:
    """``87.61 to 89.40``; a dash without any."""
    return "–" if not ends else f"{percent(ends[0])} to {percent(ends[1])}"


def _headline(report: Mapping[str, Any], part: str) -> Iterator[Block]:
    scores = report["scores"][part]
    ends = report["analysis"][part]["intervals"].get("f1")
    if report["options"]["scheme"] == TOKEN:
        yield Paragraph(f"Accuracy {percent(scores['accuracy'])} on {part}", is_large=True)
        yield Paragraph(
            f"The share of tokens with the right tag; 95 % interval {interval_of(ends)} over other sentences of the "
            "kind. Each token's tag is counted as an entity below. Figures are in percent."
        )
    else:
        yield Paragraph(f"F1 {percent(scores['f1'])} on {part}", is_large=True)
        yield Paragraph(
            f"Precision {percent(scores['precision'])}, recall {percent(scores['recall'])}; 95 % interval of F1 "
            f"{interval_of(ends)} over other sentences of the kind. An entity counts as right if start, end and label "
            "are. Figures are in percent."
        )
    which = "the first" if report["protocol"]["trained_on_dev"] else "the best on dev"
    for name, figures in report.get("seeds", {}).get("f1", {}).items():
        yield Paragraph(
            f"Over {len(figures['by_seed'])} seeds {name} F1 is {percent(figures['mean'])} ± "
            f"{percent(figures['standard_deviation'])} (sample standard deviation); this page shows seed "
            f"{report['seed']}, {which}."
        )


def _members(report: Mapping[str, Any]) -> Iterator[Block]:
    """Of a joined tagger: what its members have alone."""
    members = report.get("members")
    if not members:
        return
    yield Paragraph(f"This tagger joins {members['number']} taggers and tags by the mean of their scores.")
    for name, figures in members["f1"].items():
        yield Paragraph(
            f"Alone they have a {name} F1 of {percent(figures['mean'])} ± {percent(figures['standard_deviation'])} "
            f"(sample standard deviation): {', '.join(percent(f1) for f1 in figures['by_seed'].values())}."
        )


def _protocol(report: Mapping[str, Any]) -> Iterator[Block]:
    protocol, training = report["protocol"], report["training"]
    yield Heading("Protocol")
    rows = [
        [part, data["file"], *(f"{data[name]:,}" for name in ("sentences", "tokens", "entities")), _digest(data)]
        for part, data in protocol["data"].items()
    ]
    yield Table(["part", "file", "sentences", "tokens", "entities", "SHA-256 of the file"], rows)
    dev = "a file of its own" if protocol["dev"] == "file" else protocol["dev"]
    chosen = (
        f"Dev is {dev}; it chose the epoch ({training['best_epoch']} of {training['epochs_run']}) and the temperature "
        "of the probabilities. Trained on dev: no."
    )
    if "members" in report:
        chosen = f"Dev is {dev}. Of each member dev chose the epoch."
    if protocol["trained_on_dev"]:
        trained = "TRAINED ON DEV, too" if "dev" in protocol["data"] else "Nothing was held out as dev"
        chosen = f"{trained}: there is no dev score, and the last of {training['epochs_run']} epochs is kept."
    yield Paragraph(f"{chosen} Seeds: {', '.join(map(str, protocol['seeds']))}.")
    bilm, vectors = protocol["bilm"], protocol["word_vectors"]
    inputs = "no biLM" if bilm is None else f"a frozen biLM with {bilm['layers']} layers of {bilm['dim']} numbers"
    inputs += "; no word vectors from a file" if vectors is None else f"; word vectors from {vectors['file']}"
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    if teacher := protocol.get("teacher"):
        inputs += f"; distilled from {teacher['tagger']} (weight {teacher['weight']:g})"
    if unlabelled := protocol.get("unlabelled"):
        inputs += f" over {unlabelled['sentences']:,} unlabelled sentences, too"
    yield Paragraph(f"Input: {inputs}. {training['parameters']:,} trained parameters. {versions}.")


def _digest(data: Mapping[str, Any]) -> str:
    return str(data["sha256"] or "–")[:16]


def _learning(report: Mapping[str, Any]) -> Iterator[Block]:
    curve = report["training"]["curve"]
    if not curve:
        return
    yield Heading("Learning curves")
    run = {"this run": report}
    yield Pictures([svg for svg in (charts.f1_curve(run), charts.loss_curve(run)) if svg])
    rows = [
        [
            str(row["epoch"]),
            f"{row['loss']:.4f}",
            *("–" if row[name] is None else percent(row[name]) for name in ("precision", "recall", "f1")),
            f"{row['learning_rate']:.2g}",
        ]
        for row in curve
    ]
    header = ["epoch", "loss", "dev precision", "dev recall", "dev F1", "learning rate"]
    yield Table(header, rows, caption="Every epoch", folded=True)


def _by_label(report: Mapping[str, Any], part: str) -> Iterator[Block]:
    yield Heading("By label")
    yield Pictures([charts.f1_by_label({scored: report}, scored) for scored in report["scores"]])
    for scored, scores in report["scores"].items():
        intervals = report["analysis"][scored]["intervals"]
        support = sum(row["support"] for row in scores["labels"].values())
        rows = [_score_row("all", {**scores, "support": support}, intervals.get("f1"))]
        shown = most_frequent_in([report], scored)
        rows += [_score_row(label, scores["labels"][label], intervals.get("labels", {}).get(label)) for label in shown]
        if len(shown) < len(scores["labels"]):
            yield Paragraph(_only_most_frequent(len(scores["labels"])))
        yield Table(["label", "precision", "recall", "F1", "95 % interval", "entities"], rows, caption=scored)
    n = report["analysis"][part]["intervals"].get("resamples", 0)
    yield Paragraph(f"Intervals: bootstrap over the sentences, {n:,} drawings, percentiles 2.5 and 97.5.")


def _only_most_frequent(n_labels: int) -> str:
    return f"Of {n_labels:,} labels the {MOST_ROWS} most frequent are shown; report.json has all."


def _score_row(label: str, scores: Mapping[str, Any], ends: Sequence[float] | None) -> list[str]:
    figures = [percent(scores[name]) for name in ("precision", "recall", "f1")]
    return [label, *figures, interval_of(ends), f"{scores['support']:,}"]


def _confusion(report: Mapping[str, Any], part: str) -> Iterator[Block]:
    confusion = report["analysis"][part]["confusion"]
    every, same, other = confusion["labels"], confusion["same_bounds"], confusion["other_bounds"]
    labels = most_frequent_in([report], part) if len(every) > MOST_ROWS else every  # older reports have all
    numbers = [every.index(label) for label in labels]
    yield Heading("Labels taken for one another")
    if (n_labels := len(every) + confusion.get("together", 0)) > len(labels):
        yield Paragraph(f"Of {n_labels:,} labels the {len(labels)} most frequent are shown.")
    rows, shades = [], []
    for i, label in zip(numbers, labels, strict=True):
        values = [same[i][j] + other[i][j] for j in numbers] + [confusion["missed"][i]]
        total = max(1, sum(values))
        cells = [_cell(same[i][j], other[i][j]) for j in numbers] + [f"{confusion['missed'][i]:,}"]
        rows.append([label, *cells])
        shades.append([min(0.6, (value / total) ** 0.5 * 0.6) for value in values])
    rows.append(["none (spurious)", *(f"{confusion['spurious'][j]:,}" for j in numbers), ""])
    shades.append([0.0] * (len(labels) + 1))
    header = ["gold ↓ predicted →", *labels, "none (missed)"]
    yield Table(header, rows, caption=f"Entities of {part}", shades=shades)
    yield Paragraph(
        "A number after + is of entities that overlap but have other bounds. A row adds up to the gold entities of its "
        "label, a column to the predicted ones."
    )


def _cell(same: int, other: int) -> str:
    return f"{same:,} + {other:,}" if other else f"{same:,}"


def _mix(report: Mapping[str, Any]) -> Iterator[Block]:
    mix = report["mix"]
    if mix is None:
        return
    yield Heading("Learned weights of the biLM's layers")
    mixes = {"": mix} if "output" not in mix else {"At the BiLSTM's input": mix, "At its output": mix["output"]}
    for place, shares in mixes.items():
        yield Pictures([charts.layer_weights(shares)])
        rows = [[charts.layer_name(layer), percent(share)] for layer, share in shares["layers"].items()]
        yield Table(["layer", "share"], [*rows, ["γ", f"{shares['gamma']:.4f}"]], caption=place)
    yield Paragraph("The shares are a softmax, so they add up to 100; γ scales the mixed layers.")


def _by_length(report: Mapping[str, Any], part: str) -> Iterator[Block]:
    yield Heading("By length of the entity")
    yield Pictures([charts.f1_by_length({part: report}, part)])
    yield length_table({part: report}, part)


def length_table(reports: Mapping[str, Mapping[str, Any]], part: str) -> Table:
    """F1 by entity length: a row for each run, and one with the number of gold entities."""
    counts = {
        name: {length: Counts(*values) for length, values in report["analysis"][part]["by_length"].items()}
        for name, report in reports.items()
    }
    rows = [[name, *(percent(of_run[length].f1) for length in LENGTHS)] for name, of_run in counts.items()]
    gold = next(iter(counts.values()))
    rows.append(["gold entities", *(f"{gold[length].gold:,}" for length in LENGTHS)])
    return Table(["F1", *(f"{length} token{'s' * (length != '1')}" for length in LENGTHS)], rows)


def _calibration(report: Mapping[str, Any]) -> Iterator[Block]:
    calibration = report["calibration"]
    temperature = calibration["temperature"]
    parts = [part for part in ("dev", "test") if part in calibration]
    if not any(calibration[part]["entities"] for part in parts):
        return
    yield Heading("Can the probabilities be believed?")
    yield Pictures([charts.reliability_picture(calibration[part], part, temperature) for part in parts])
    yield Paragraph(
        f"Of the entities with a probability of about 80 %, about 80 % should be right. Temperature {temperature:.3f}, "
        f"{'fitted on dev' if 'dev' in calibration else 'the mean of its members'}, divides the score of every tag "
        "sequence; it changes no entity."
        if temperature != 1.0
        else "Of the entities with a probability of about 80 %, about 80 % should be right. No temperature was fitted."
    )
    yield Paragraph("Bins of fewer than 10 entities are small dots beside the lines; grey bars say how many there are.")
    rows = []
    for part in parts:
        given = calibration[part]
        for name, figures in (("without temperature", given["uncalibrated"]), ("as given", given)):
            values = [percent(figures["ece"]), percent(figures["adaptive_ece"]), f"{figures['log_loss']:.4f}"]
            rows.append([f"{part}, {name}", f"{given['entities']:,}", *values])
    header = ["probabilities", "entities found", "ECE, 15 equal bins", "ECE, 15 bins of equal size", "log loss"]
    yield Table(header, rows, caption="Expected calibration error in percent; log loss in nats an entity")
    for part in parts:
        bins = [
            [
                f"{100 * row['low']:.1f} to {100 * row['high']:.1f}",
                f"{row['entities']:,}",
                percent(row["confidence"]),
                percent(row["accuracy"]),
            ]
            for row in calibration[part]["reliability"]
        ]
        yield Table(["probability", "entities", "mean probability", "right"], bins, f"The bins of {part}", folded=True)


def _errors(part: str, errors: Sequence[Recurring], kinds: Mapping[str, int]) -> Iterator[Block]:
    yield Heading("Errors")
    if not sum(kinds.values()):
        yield Paragraph(f"There is none on {part}.")
        return
    rows = [[kind, f"{number:,}", _KINDS[kind]] for kind, number in kinds.items()]
    yield Table(["kind", f"on {part}", "meaning"], rows, is_words=True)
    if any(error.number > 1 for error in errors):
        yield Paragraph(f"The most frequent ones, grouped by the entity's words; all are in predictions.{part}.conll.")
    for error in errors:
        labels = " → ".join(label for label in (error.gold_label, error.predicted_label) if label)
        same = error.gold_label == error.predicted_label
        said = f"{error.number} × {error.kind}: {error.text} ({error.gold_label if same else labels})"
        yield Item(said, [_marked(example) for example in error.examples])


def _marked(example: ErrorExample) -> list[Piece]:
    """The sentence, or the tokens around the error in a long one, with gold and predicted marked."""
    gold, predicted = example.gold, example.predicted
    touched = [span for span in (gold, predicted) if span is not None]
    begin = max(0, min(span.start for span in touched) - _CONTEXT)
    end = min(len(example.tokens), max(span.end for span in touched) + _CONTEXT)
    pieces = [Piece("… ")] if begin else []
    run: list[str] = []
    mark = ""
    for position in range(begin, end):
        now = _mark_at(position, gold, predicted)
        if run and now != mark:
            pieces += _piece(run, mark, example)
            run = []
        mark = now
        run.append(example.tokens[position])
    pieces += _piece(run, mark, example)
    return [*pieces, Piece("…")] if end < len(example.tokens) else pieces


def _mark_at(position: int, gold: Span | None, predicted: Span | None) -> str:
    in_gold, in_predicted = (s is not None and s.start <= position < s.end for s in (gold, predicted))
    if in_gold and in_predicted:
        return "both"
    return "gold" if in_gold else "predicted" if in_predicted else ""


def _piece(tokens: Sequence[str], mark: str, example: ErrorExample) -> list[Piece]:
    said = [
        f"{name} {span.label}"
        for name, span in (("gold", example.gold), ("predicted", example.predicted))
        if span is not None and mark in (name, "both")
    ]
    return [Piece(" ".join(tokens), mark, ", ".join(said)), Piece(" ")]
