"""Ray and Spark as tests need them: a cluster of two nodes on this machine, Spark in local mode, taggers that die.

``.ci/run`` installs both and sets ``NER_ELMO_NEEDS_ENGINES``, so that nothing is skipped there.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ner_elmo.errors import UsageError
from ner_elmo.tagger.tagger import Tagger
from ner_elmo.text.documents import Document

REPOSITORY = Path(__file__).resolve().parents[2]
VARIABLE = "NER_ELMO_NEEDS_ENGINES"


def require_engine(package: str, program: str | None = None) -> None:
    """Skip the test, or fail where nothing may be skipped, if a package or a program is missing."""
    missing = package if importlib.util.find_spec(package) is None else None
    if missing is None and program is not None and shutil.which(program) is None:
        missing = program
    if missing is None:
        return
    reason = f"nothing ran on this engine: needs {missing}"
    if os.environ.get(VARIABLE):
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def ray_cluster() -> Iterator[Any]:
    """A cluster of two nodes of one CPU each, to which this process is connected."""
    require_engine("ray")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    os.environ |= {"RAY_worker_niceness": "0"}  # Ray's own is 15, with which workers wait for all else that runs here
    import ray
    from ray.cluster_utils import Cluster

    size = {"num_cpus": 1, "object_store_memory": 200 << 20}
    cluster = Cluster(initialize_head=True, head_node_args=size | {"include_dashboard": False})
    try:
        cluster.add_node(**size)
        cluster.wait_for_nodes()
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        ray.data.DataContext.get_current().enable_progress_bars = False
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


@contextmanager
def spark_session() -> Iterator[Any]:
    """Spark on this machine: two cores, and a task that is lost is done again twice."""
    require_engine("pyspark", "java")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[2,3]").config("spark.ui.enabled", "false")
    session = builder.config("spark.sql.shuffle.partitions", "2").config("spark.driver.memory", "1g").getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    try:
        yield session
    finally:
        session.stop()


class Deadly(Tagger):
    """Kills its process at the word ``die``: always, or where ``once`` is not there yet; fails at ``poison``."""

    once: Path | None = None

    def tag_chunk(self, chunk: Any, **flags: bool) -> Any:
        units = [getattr(unit, "text", unit) for unit in chunk]
        if any(" die " in unit for unit in units) and (self.once is None or not self.once.exists()):
            if self.once is not None:
                self.once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().tag_chunk(chunk, **flags)

    def _documents(self, units: Sequence[Any], tokenized: bool, scores: bool) -> list[Document]:
        if any(" poison " in getattr(unit, "text", unit) for unit in units):
            raise RuntimeError("poisoned")
        return super()._documents(units, tokenized, scores)


class Stillborn(Tagger):
    """Its process ends, or fails, where it is unpacked."""

    how = "kill"

    def __setstate__(self, values: Any) -> None:
        if values["how"] == "kill":  # as the system does where there is no memory
            os.kill(os.getpid(), signal.SIGKILL)
        raise UsageError("this machine has no such model")


def texts_of(n: int) -> list[str]:
    """So many sentences, each another one."""
    people, places = ("Ann", "Bob Smith", "Carl", "Dora", "Eva"), ("Rome", "Oslo City", "Bonn", "Lima")
    return [f"{people[i % 5]} sees {places[i % 4]} {i} times ." for i in range(n)]


def plain(document: Document) -> list[dict[str, Any]]:
    """The entities of a document as engines give them."""
    return [{"score": None} | entity.to_dict() for entity in document.entities]
