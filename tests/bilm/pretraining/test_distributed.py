"""Several processes train as one does: the shares of a batch, the same result, and what happens if one is killed."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ner_elmo.bilm.pretraining.distributed import Processes
from ner_elmo.cli.main import main
from tests.support.engines import require_engine
from tests.support.processes import STEP_LIMIT, environment, finish, run_alone, start_processes
from tests.support.reports import report_of
from tests.support.toy_pretraining import toy_text, weights_of

pytestmark = pytest.mark.long

SCALE = Path(__file__).resolve().parents[3] / "docs" / "scale.md"


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    path = tmp_path / "toy.txt"
    path.write_text("\n".join(" ".join(sentence) for sentence in toy_text(300, 1)) + "\n")
    return path


def command(toy: Path, output: Path, *flags: str) -> list[str]:
    options = Path(output.parent / "options.json")
    if not options.exists():
        values = {
            "lstm": {"dim": 16, "projection_dim": 8, "n_layers": 2, "use_skip_connections": True},
            "char_cnn": {
                "activation": "relu",
                "embedding": {"dim": 4},
                "filters": [[1, 8], [2, 8]],
                "max_characters_per_token": 12,
                "n_characters": 262,
                "n_highway": 1,
            },
            "dropout": 0.1,
        }
        options.write_text(json.dumps(values))
    return [
        *("-m", "ner_elmo", "pretrain", str(toy), "-o", str(output), "--options", str(options), "--device", "cpu"),
        *(
            "--batch-tokens",
            "96",
            "--epochs",
            "4",
            "--checkpoint-steps",
            "3",
            "--threads",
            "1",
            "--learning-rate",
            "0.02",
        ),
        *flags,
    ]


def steps_in(log: Path) -> int:
    return log.read_text().count('"event": "step"') if log.exists() else 0


def wait_for_steps(log: Path, n: int, process: subprocess.Popen[str]) -> None:
    """Wait until ``n`` more steps are logged, or the process ends."""
    target, until = steps_in(log) + n, time.monotonic() + STEP_LIMIT
    while steps_in(log) < target and process.poll() is None:
        assert time.monotonic() < until
        time.sleep(0.002)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_shares_divide_a_batch_without_overlap(n: int) -> None:
    rng = random.Random(3)
    for _ in range(50):
        sentences = [[f"{i}"] * rng.randint(1, 40) for i in range(rng.randint(1, 30))]
        shares = [Processes(rank, n).share(sentences) for rank in range(n)]
        assert sorted(s for share in shares for s in share) == sorted(sentences)
        loads = [sum(len(s) + 1 for s in share) for share in shares]
        assert max(loads) - min(loads) <= max(map(len, sentences)) + 1


def test_two_processes_train_as_one_does(toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--dropout", "0", "--softmax", "exact", "--precision", "fp32", "--epochs", "1", "--json")
    # With both ways of adding up gradients: those of more than ten rows without the rows that are zero.
    program = "import sys; from ner_elmo.bilm.pretraining import distributed; distributed.SPARSE_ROWS = 10; "
    program += "from ner_elmo.cli.main import main; sys.exit(main(sys.argv[1:]))"
    two = start_processes(2, "-c", program, *command(toy, tmp_path / "two", *flags)[2:])
    assert main(command(toy, tmp_path / "one", *flags)[2:]) == 0
    alone = json.loads(capsys.readouterr().out)
    (status, output, errors), (status_1, output_1, errors_1) = finish(two)
    assert status == status_1 == 0, errors + errors_1
    assert output_1 == errors_1 == ""
    assert "in 2 processes" in errors
    together = json.loads(output)
    for direction in ("forward", "backward", "mean"):
        assert together["perplexity"][direction] == pytest.approx(alone["perplexity"][direction], rel=1e-5)
    assert together["tokens"] == alone["tokens"]
    names = {path.name for path in (tmp_path / "two").iterdir()}
    assert names == {path.name for path in (tmp_path / "one").iterdir()}
    steps = [json.loads(line) for line in (tmp_path / "two" / "log.jsonl").read_text().splitlines()]
    steps_alone = [json.loads(line) for line in (tmp_path / "one" / "log.jsonl").read_text().splitlines()]
    for a, b in zip(steps, steps_alone, strict=True):
        if a["event"] == "step":
            assert a["gradient_norm"] == pytest.approx(b["gradient_norm"], rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("softmax", ["exact", "sampled"])
def test_killed_at_random_steps_it_resumes_to_the_bit(toy: Path, tmp_path: Path, softmax: str) -> None:
    flags = ("--softmax", softmax, "--samples", "10")
    assert run_alone(*command(toy, tmp_path / "whole", *flags)).returncode == 0
    rng = random.Random()  # any step will do
    kills = 0
    while kills < 4:
        arguments = command(toy, tmp_path / "parts", *flags, "--resume")
        process = subprocess.Popen([sys.executable, *arguments], env=environment(), stderr=subprocess.PIPE, text=True)
        wait_for_steps(tmp_path / "parts" / "log.jsonl", rng.randint(1, 9), process)
        if process.poll() is None:
            time.sleep(rng.random() * 0.05)
        process.kill()
        process.communicate()
        if process.returncode == 0:
            break  # done already
        kills += 1
    assert kills >= 2
    last = run_alone(*command(toy, tmp_path / "parts", *flags, "--resume"))
    assert last.returncode == 0, last.stderr
    assert weights_of(tmp_path / "parts") == weights_of(tmp_path / "whole")
    assert report_of(tmp_path / "parts") == report_of(tmp_path / "whole")
    events = [json.loads(line)["event"] for line in (tmp_path / "parts" / "log.jsonl").read_text().splitlines()]
    assert events.count("finished") == 1
    assert not list(tmp_path.glob("parts/**/.*"))


@pytest.mark.slow
@pytest.mark.parametrize("n", [2, 3])
def test_a_killed_process_ends_the_run_which_resumes_to_the_bit(toy: Path, tmp_path: Path, n: int) -> None:
    """With three processes, too, where the order of a sum matters."""
    flags = ("--softmax", "sampled", "--samples", "10", "--epochs", "2")
    for status, _, errors in finish(start_processes(n, *command(toy, tmp_path / "whole", *flags))):
        assert status == 0, errors
    victims = [n - 1, 0]
    for victim in victims:
        processes = start_processes(n, *command(toy, tmp_path / "parts", *flags, "--resume"))
        wait_for_steps(tmp_path / "parts" / "log.jsonl", random.randint(2, 8), processes[0])
        processes[victim].kill()
        for rank, (status, _, errors) in enumerate(finish(processes)):
            if rank == victim:
                assert status == -signal.SIGKILL
            else:
                assert status == 1
                assert "another process of this run ended" in errors
                assert "Traceback" not in errors
    for status, _, errors in finish(start_processes(n, *command(toy, tmp_path / "parts", *flags, "--resume"))):
        assert status == 0, errors
    assert weights_of(tmp_path / "parts") == weights_of(tmp_path / "whole")
    assert report_of(tmp_path / "parts") == report_of(tmp_path / "whole")


@pytest.mark.slow
def test_a_signal_to_one_process_stops_all_and_one_alone_goes_on(toy: Path, tmp_path: Path) -> None:
    flags = ("--dropout", "0", "--softmax", "exact", "--precision", "fp32")
    processes = start_processes(2, *command(toy, tmp_path / "run", *flags))
    wait_for_steps(tmp_path / "run" / "log.jsonl", 2, processes[0])
    processes[1].send_signal(signal.SIGTERM)
    for status, _, errors in finish(processes):
        assert status == 143, errors
    alone = run_alone(*command(toy, tmp_path / "run", *flags, "--resume"))
    assert alone.returncode == 0
    assert "the run had 2 process(es) and goes on with 1" in alone.stderr
    assert run_alone(*command(toy, tmp_path / "whole", *flags)).returncode == 0
    wanted = report_of(tmp_path / "whole")["perplexity"]["mean"]
    assert report_of(tmp_path / "run")["perplexity"]["mean"] == pytest.approx(wanted, rel=1e-4)


# Writes the names of the files that a process opens to a file of its own.
OPENING = (
    "import os, sys; names = open(os.environ['NAMES'] + os.environ['RANK'], 'a'); "
    "sys.addaudithook(lambda event, values: event == 'open' and names.write(f'{values[0]}\\n') and names.flush()); "
    "from ner_elmo.cli.main import main; sys.exit(main(sys.argv[1:]))"
)


@pytest.mark.slow
def test_files_of_its_own_for_each_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None reads another's; they have the vocabulary of all; and the run goes on to the bit, wherever each stands."""
    text = tmp_path / "text"
    text.mkdir()
    for number, n in enumerate((200, 90, 70)):  # the first process has more to read than the second
        lines = [" ".join([*sentence, f"only{number}"]) for sentence in toy_text(n, number)]
        (text / f"{number}.txt").write_text("\n".join(lines) + "\n")
    flags = ("--shard-files", "--softmax", "sampled", "--samples", "10")
    monkeypatch.setenv("NAMES", str(tmp_path / "opened"))
    whole = start_processes(2, "-c", OPENING, *command(text, tmp_path / "whole", *flags)[2:])
    for status, _, errors in finish(whole):
        assert status == 0, errors
    opened = [set((tmp_path / f"opened{rank}").read_text().split()) for rank in range(2)]
    read = [{name for name in ("0.txt", "1.txt", "2.txt") if str(text / name) in names} for names in opened]
    assert read == [{"0.txt"}, {"1.txt", "2.txt"}]
    words = (tmp_path / "whole" / "bilm" / "vocab.txt").read_text().split()
    assert {"only0", "only1", "only2"} <= set(words)

    for victim in (1, 0):
        processes = start_processes(2, *command(text, tmp_path / "parts", *flags, "--resume"))
        wait_for_steps(tmp_path / "parts" / "log.jsonl", random.randint(4, 12), processes[0])
        processes[victim].kill()
        finish(processes)
    alone = run_alone(*command(text, tmp_path / "parts", *flags, "--resume"))
    assert alone.returncode == 2
    assert "the run has 2 processes, each with files of its own, and cannot go on with 1" in alone.stderr
    for status, _, errors in finish(start_processes(2, *command(text, tmp_path / "parts", *flags, "--resume"))):
        assert status == 0, errors
    assert weights_of(tmp_path / "parts") == weights_of(tmp_path / "whole")
    assert report_of(tmp_path / "parts") == report_of(tmp_path / "whole")

    few = finish(start_processes(4, *command(text, tmp_path / "four", *flags)))
    assert [status for status, _, _ in few] == [2] * 4
    assert "found 3 file(s) for 4 processes; expected at least one for each" in few[0][2]


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the processes in /proc")
def test_torchrun_mistakes_kills_and_signals(toy: Path, tmp_path: Path) -> None:
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    mistake = run_alone(*launcher, *command(toy, tmp_path / "taken"))
    assert mistake.returncode == 1  # torchrun's own
    assert mistake.stderr.count("ner-elmo: ") == 1
    assert "exists already" in mistake.stderr
    log = tmp_path / "run" / "log.jsonl"
    for sent in (signal.SIGKILL, signal.SIGTERM):
        arguments = command(toy, tmp_path / "run", "--epochs", "2", "--resume")
        run = subprocess.Popen(
            [sys.executable, *launcher, *arguments], env=environment(), stderr=subprocess.PIPE, text=True
        )
        wait_for_steps(log, 4, run)
        if sent == signal.SIGKILL:
            os.kill(children(run.pid)[1], sent)
        else:
            run.send_signal(sent)
        _, errors = run.communicate(timeout=STEP_LIMIT)
        assert run.returncode != 0
        said = "another process of this run ended" if sent == signal.SIGKILL else "stopped; the run goes on with"
        assert said in errors, errors
    assert json.loads(log.read_text().splitlines()[-1])["event"] == "stopped"
    last = run_alone(*launcher, *command(toy, tmp_path / "run", "--epochs", "2", "--resume"))
    assert last.returncode == 0, last.stderr
    assert report_of(tmp_path / "run")["finished"]


def node(rank: int, port: int, arguments: list[str], restarts: int) -> subprocess.Popen[str]:
    """One of two machines: a torchrun with one process, which meets the other at a port."""
    launcher = ("-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1", "--node-rank", str(rank))
    meeting = ("--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{port}", "--rdzv-id", "test")
    local = ("--local-addr", "127.0.0.1", "--max-restarts", str(restarts))
    return subprocess.Popen(
        [sys.executable, *launcher, *meeting, *local, *arguments], env=environment(), stderr=subprocess.PIPE, text=True
    )


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def recipe(beginning: str) -> str:
    """The block of docs/scale.md that begins so."""
    blocks = re.findall(r"^```(?:bash|python)\n(.*?)^```$", SCALE.read_text(), re.MULTILINE | re.DOTALL)
    (found,) = (block for block in blocks if block.startswith(beginning))
    return str(found)


def program(path: Path, lines: str) -> None:
    path.write_text(f"#!/bin/bash\n{lines}\n")
    path.chmod(0o755)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_the_recipe_for_slurm(toy: Path, tmp_path: Path) -> None:
    """With stand-ins that do what Slurm's own do on two nodes: both train, and the result is that of two processes."""
    script = tmp_path / "pretrain.slurm"
    script.write_text(recipe("#!/bin/bash\n#SBATCH"))
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0
    stands = tmp_path / "bin"
    stands.mkdir()
    program(stands / "scontrol", "printf '127.0.0.1\\n127.0.0.2\\n'")
    on_nodes = 'for node in 0 1; do SLURM_NODEID=$node SLURM_PROCID=$node "$@" & running+=" $!"; done'
    program(stands / "srun", f"{on_nodes}; failed=0; for one in $running; do wait $one || failed=1; done; exit $failed")
    program(stands / "torchrun", f'exec "{sys.executable}" -m torch.distributed.run "$@"')
    flags = ("--softmax", "sampled", "--samples", "10", "--epochs", "1")
    slurm = {"SLURM_NNODES": "2", "SLURM_JOB_NODELIST": "node[1-2]", "SLURM_JOB_ID": str(random.randrange(10**6))}
    path = os.pathsep.join([str(stands), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", str(script), *command(toy, tmp_path / "run", *flags)[3:]],
        env=environment(PATH=path, PET_LOCAL_ADDR="127.0.0.1", **slurm),
        capture_output=True,
        text=True,
        timeout=2 * STEP_LIMIT,
    )
    assert done.returncode == 0, done.stderr
    assert "in 2 processes" in done.stderr
    for status, _, errors in finish(start_processes(2, *command(toy, tmp_path / "whole", *flags))):
        assert status == 0, errors
    assert weights_of(tmp_path / "run") == weights_of(tmp_path / "whole")


@pytest.mark.slow
def test_the_recipe_for_ray_train(toy: Path, tmp_path: Path) -> None:
    """Two processes on CPUs of a cluster of this machine: the result is that of two processes without Ray."""
    require_engine("ray")
    flags = ("--softmax", "sampled", "--samples", "10", "--epochs", "1")
    arguments = command(toy, tmp_path / "run", *flags)[3:]
    lines = recipe("import os, subprocess, sys\nfrom ray.train")
    for there, here in (
        ('["my-text/", "-o", "/shared/my-bilm"]', repr(arguments)),
        ("num_workers=16, use_gpu=True", "num_workers=2"),
        ('"/shared/ray"', repr(str(tmp_path / "ray"))),
    ):
        assert there in lines
        lines = lines.replace(there, here)
    start = "import ray; ray.init('local', num_cpus=3, include_dashboard=False)\n"
    (tmp_path / "recipe.py").write_text(start + lines)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "recipe.py")],
        env=environment(PYTHONWARNINGS="ignore", RAY_USAGE_STATS_ENABLED="0", RAY_worker_niceness="0"),
        capture_output=True,
        text=True,
        timeout=2 * STEP_LIMIT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert next(event for event in log if event["event"] == "start")["processes"] == 2
    for status, _, errors in finish(start_processes(2, *command(toy, tmp_path / "whole", *flags))):
        assert status == 0, errors
    assert weights_of(tmp_path / "run") == weights_of(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the processes in /proc")
@pytest.mark.parametrize("restarts", [0, 3])
def test_two_machines_of_which_one_is_lost(toy: Path, tmp_path: Path, restarts: int) -> None:
    """Two torchruns that meet: what one loses, ``--resume`` or torchrun's own restart goes on with, to the bit."""
    flags = ("--softmax", "sampled", "--samples", "10", "--epochs", "2")
    for status, _, errors in finish(start_processes(2, *command(toy, tmp_path / "whole", *flags))):
        assert status == 0, errors
    arguments = command(toy, tmp_path / "parts", *flags, "--resume")
    port = free_port()
    machines = [node(rank, port, arguments, restarts) for rank in range(2)]
    wait_for_steps(tmp_path / "parts" / "log.jsonl", 5, machines[0])
    lost = machines[1]
    (worker,) = (child for child in children(lost.pid) if b"ner_elmo" in Path(f"/proc/{child}/cmdline").read_bytes())
    os.kill(worker, signal.SIGKILL)
    if restarts:  # of the processes alone: both torchruns start theirs again
        outputs = [machine.communicate(timeout=2 * STEP_LIMIT) for machine in machines]
        assert [machine.returncode for machine in machines] == [0, 0], outputs
    else:  # the machine is gone
        lost.kill()
        lost.communicate(timeout=STEP_LIMIT)
        _, errors = machines[0].communicate(timeout=STEP_LIMIT)
        assert machines[0].returncode != 0
        assert "another process of this run ended" in errors
        port = free_port()
        for machine in [node(rank, port, arguments, restarts) for rank in range(2)]:
            _, errors = machine.communicate(timeout=STEP_LIMIT)
            assert machine.returncode == 0, errors
    assert '"event": "resume"' in (tmp_path / "parts" / "log.jsonl").read_text()
    assert weights_of(tmp_path / "parts") == weights_of(tmp_path / "whole")
    assert report_of(tmp_path / "parts") == report_of(tmp_path / "whole")
