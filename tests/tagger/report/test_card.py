"""The model card: its header as model hubs read it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ner_elmo.tagger.report.card import model_card
from tests.support.reports import report_of


def header_of(card: str) -> dict[str, object]:
    empty, header, _ = card.split("---\n", 2)
    assert not empty
    return yaml.safe_load(header)  # type: ignore[no-any-return]


def test_the_header_says_what_hubs_ask(plain: Path) -> None:
    report = report_of(plain) | {"licence": "for research: 'a' \"b\" # c"}
    bilm = {"text": {"language": "es"}, "training_data": [{"name": "es.txt"}]}
    header = header_of(model_card(report, bilm))
    assert header["pipeline_tag"] == "token-classification"
    assert header["language"] == "es"
    assert header["license"] == "other"
    assert header["license_name"] == "for research: 'a' \"b\" # c"
    assert header["datasets"] == ["es.txt", report["protocol"]["data"]["train"]["file"]]
    assert header_of((plain / "README.md").read_text("utf-8"))["library_name"] == "ner-elmo"


def test_a_hub_finds_the_figures_in_it(plain: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    report = report_of(plain)
    card = hub.ModelCard((plain / "README.md").read_text("utf-8"))
    found = {(r.dataset_split, r.metric_type): r.metric_value for r in card.data.eval_results}
    for part, scores in report["scores"].items():
        assert found[part, "f1"] == pytest.approx(scores["f1"], abs=1e-4)
