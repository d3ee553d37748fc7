"""What the package's own code never does: run what it reads, start a shell, open a connection."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "ner_elmo"
# Modules that run code of others, start programs or connect, and functions that do.
MODULES = {"pickle", "cPickle", "dill", "shelve", "marshal", "subprocess", "pty", "code", "socket", "ssl", "ctypes"}
MODULES |= {
    "urllib.request",
    "http.client",
    "ftplib",
    "smtplib",
    "requests",
    "httpx",
    "aiohttp",
    "joblib",
    "cloudpickle",
}
MODULES |= {"multiprocessing", "xmlrpc", "telnetlib", "runpy", "yaml", "webbrowser", "torch.hub", "huggingface_hub"}
CALLS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "os.execv", "os.execvp", "os.spawnv"}
CALLS |= {"os.posix_spawn", "os.startfile", "torch.load", "numpy.load", "np.load", "torch.jit.load", "pickle.loads"}
CALLS |= {"importlib.import_module", "import_module"}
# What has to be there, and why.
WITH_REASON = {
    (
        "tagger/tagging/workers.py",
        "multiprocessing",
    ): "tag --processes: our own functions and texts go to our own forks",
    ("text/counting.py", "multiprocessing"): "counting in several processes: numbers come back",
    ("runs/checkpoints.py", "torch.load"): "of checkpoints, weights_only: tensors and plain values",
    ("bilm/files/many_langs.py", "torch.load"): "ELMoForManyLangs' own files, weights_only",
    ("__init__.py", "import_module"): "a public name's home, out of a list of ours",
    ("cli/main.py", "import_module"): "a command's module, by a name out of a list of ours",
    ("cli/flags.py", "importlib.import_module"): "torch, by its name",
    ("cli/reference.py", "import_module"): "a command's module, by a name out of a list of ours",
    ("engines/packages.py", "importlib.import_module"): "ray or pyspark, by its name",
    ("engines/ray_workers.py", "pickle"): "--engine ray: our own chunks and answers between our own workers",
    ("engines/ray_workers.py", "pickle.loads"): "the same",
    (
        "nn/compiler.py",
        "subprocess",
    ): "--compile, int8-compiled: the C compiler that was asked for, on C code of ours in nn/",
    ("nn/compiler.py", "ctypes"): "what it has made of that",
    ("nn/compiled_passes.py", "ctypes"): "the same",
    ("nn/compiled_int8.py", "ctypes"): "the same",
    ("runs/memory.py", "ctypes"): "mallopt of the C library: how much memory the process keeps",
    ("library/hub.py", "huggingface_hub"): "push and pull: what they are for",
    ("tagger/training/side_by_side.py", "multiprocessing"): "train-tagger --jobs: our own seeds in our own processes",
    ("service/server.py", "socket"): "serve listens; it connects to nothing",
}


def found_in(tree: ast.AST) -> Iterator[str]:
    """Imports and calls that are on a list."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (
                alias.name for alias in node.names if alias.name in MODULES or alias.name.split(".")[0] in MODULES
            )
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {node.module, node.module.split(".")[0], *(f"{node.module}.{alias.name}" for alias in node.names)}
            if hit := names & MODULES:
                yield min(hit)
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in CALLS:
                yield name
            if any(keyword.arg in ("shell", "allow_pickle") for keyword in node.keywords):
                yield f"{name}(shell or allow_pickle)"


def test_the_lists_find_what_they_should() -> None:
    source = (
        "import pickle as p\nfrom urllib import request\nimport os\nos.system('x')\neval('1')\nrun(x, shell=True)\n"
    )
    assert sorted(found_in(ast.parse(source))) == [
        "eval", "os.system", "pickle", "run(shell or allow_pickle)", "urllib.request",
    ]  # fmt: skip


def test_nothing_runs_what_is_read() -> None:
    found = set()
    for file in sorted(PACKAGE.rglob("*.py")):
        place = file.relative_to(PACKAGE).as_posix()
        found |= {(place, name) for name in found_in(ast.parse(file.read_text(encoding="utf-8")))}
    assert found - WITH_REASON.keys() == set(), "neither needed nor explained"
    assert WITH_REASON.keys() - found == set(), "explained, and no longer there"


@pytest.mark.parametrize("file", ["runs/checkpoints.py", "bilm/files/many_langs.py"])
def test_tensors_are_loaded_without_code(file: str) -> None:
    tree = ast.parse((PACKAGE / file).read_text(encoding="utf-8"))
    loads = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load"]
    assert loads
    for load in loads:
        assert any(keyword.arg == "weights_only" and ast.unparse(keyword.value) == "True" for keyword in load.keywords)
