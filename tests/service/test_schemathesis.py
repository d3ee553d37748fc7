"""The server against its own ``/openapi.json``: whatever is sent, every status and every answer is one that it names.

schemathesis makes requests that the document allows and requests that it does not, from a fixed seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings

from tests.support.explored import write_index
from tests.support.served import running

schemathesis = pytest.importorskip("schemathesis")
pytestmark = pytest.mark.slow
EXAMPLES = 40  # of each path, allowed and not allowed
NO_SCHEMA_SAYS = {"/inception/predict", "/explore"}  # which text is a document, which holds a word between its marks
PATHS = {
    "/tag",
    "/health",
    "/models",
    "/labels",
    "/metrics",
    "/explore",
    "/doccano",
    "/inception/predict",
    "/inception/train",
    "/label-studio/health",
    "/label-studio/setup",
    "/label-studio/versions",
    "/label-studio/webhook",
    "/label-studio/predict",
}


@pytest.fixture(scope="module")
def schema(trained: Path, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    index = write_index(trained, tmp_path_factory.mktemp("explored") / "index").directory
    with running(trained, repository, "--explore", str(index), "--no-access-log") as server:
        yield schemathesis.openapi.from_url(f"{server.address}openapi.json")


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode), ids=lambda mode: str(mode.value))
@pytest.mark.parametrize("path", sorted(PATHS))
def test_every_answer_is_documented(schema: Any, path: str, mode: Any) -> None:
    excluded = []
    if path in NO_SCHEMA_SAYS:
        excluded.append(schemathesis.checks.CHECKS.get_one("positive_data_acceptance"))
    for method in schema[path]:
        operation = schema[path][method]
        if mode is schemathesis.GenerationMode.NEGATIVE and not (operation.body or operation.query):
            continue  # nothing is asked, so nothing can be asked wrongly

        @seed(1)
        @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=mode))
        def every(case: Any) -> None:
            case.call_and_validate(excluded_checks=excluded)

        every()


def test_no_path_is_left_out(schema: Any) -> None:
    assert set(schema.raw_schema["paths"]) == PATHS
