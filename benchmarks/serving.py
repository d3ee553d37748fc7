"""How fast ``serve`` answers: throughput and times at 1, 8 and 64 clients by wrk, beside the library's own speed.

    python benchmarks/serving.py SENTENCES.txt -m en [--seconds 20] [--checked 50000]

SENTENCES.txt has a sentence a line; a thousand of 15 to 25 words are taken, each a request of its own. The library's
own speed is that of ``Tagger.tag`` over the same sentences in the same minutes, with as many threads. Then
``--checked`` requests of 64 clients are answered whose every answer is compared with the library's, while its memory is
read. Needs wrk (Debian has it).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ner_elmo import Tagger

CLIENTS = (1, 8, 64)
SENTENCES = 1000

# Each of wrk's threads sends the sentences in turn, beginning at a place of its own.
LUA = """
local bodies = {}
for line in io.lines("%s") do bodies[#bodies + 1] = line end
local counter = 0
local started = 0
function setup(thread) thread:set("offset", started * 137) started = started + 1 end
function request()
  counter = counter + 1
  return wrk.format("POST", "/tag", {["Content-Type"] = "application/json"}, bodies[(counter + offset) %% #bodies + 1])
end
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("sentences", type=Path)
    parser.add_argument("-m", "--model", default="en")
    parser.add_argument("--seconds", type=int, default=20, help="that each number of clients asks")
    parser.add_argument("--checked", type=int, default=50_000, help="requests whose answers are compared")
    arguments = parser.parse_args()
    texts = chosen(arguments.sentences)
    with running(arguments.model) as (address, process):
        tagger = Tagger.load(arguments.model)
        expected = {text: document.to_dict() for text, document in zip(texts, tagger.tag(texts), strict=True)}
        n_tokens = sum(len(s) for document in tagger.tag(texts) for s in document.sentences)
        per_text = n_tokens / len(texts)
        print(f"{len(texts):,} sentences of {per_text:.1f} tokens on average")
        with tempfile.TemporaryDirectory() as folder:
            script = write_script(texts, Path(folder))
            for clients in CLIENTS:
                alone = library_speed(tagger, texts, n_tokens)
                found = wrk(address, script, clients, arguments.seconds)
                share = found["requests"] * per_text / alone
                print(
                    f"{clients:3} clients: {found['requests']:7.1f} requests/s = {found['requests'] * per_text:8,.0f} "
                    f"tokens/s, {share:.0%} of the library's {alone:,.0f}; "
                    f"p50 {found['p50']:.1f} ms, p99 {found['p99']:.1f} ms{found['errors']}"
                )
        wrong, sizes, seconds = asyncio.run(check(address, process.pid, texts, expected, arguments.checked))
        print(f"{arguments.checked:,} requests of 64 clients in {seconds:.0f} s: {wrong} wrong answers")
        print("memory (MB) after each tenth: " + ", ".join(f"{size:.0f}" for size in sizes))


def chosen(path: Path) -> list[str]:
    """A thousand sentences of 15 to 25 words, spread over the file."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if 15 <= len(line.split()) <= 25]
    return lines[:: max(1, len(lines) // SENTENCES)][:SENTENCES]


def library_speed(tagger: Tagger, texts: list[str], n_tokens: int) -> float:
    """Tokens a second of ``Tagger.tag``."""
    begun = time.perf_counter()
    for _ in tagger.tag(texts):
        pass
    return n_tokens / (time.perf_counter() - begun)


@contextmanager
def running(model: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A server in a process of its own."""
    command = [sys.executable, "-m", "ner_elmo", "serve", "-m", model, "--port", "0", "--no-access-log"]
    with subprocess.Popen(command, text=True, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        while line and " at " not in line:  # a model that ships says its terms first
            line = process.stderr.readline()
        try:
            yield line.split(" at ")[1].strip(), process
        finally:
            process.terminate()


def write_script(texts: list[str], folder: Path) -> Path:
    """The script that tells wrk what to send."""
    bodies = folder / "bodies.txt"
    bodies.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    script = folder / "ask.lua"
    script.write_text(LUA % bodies, encoding="utf-8")
    return script


def wrk(address: str, script: Path, clients: int, seconds: int) -> dict[str, Any]:
    """Requests a second, and times in milliseconds."""
    command = ["wrk", "--latency", f"-t{min(2, clients)}", f"-c{clients}", f"-d{seconds}s", "-s", str(script), address]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    units = {"us": 0.001, "ms": 1.0, "s": 1000.0}
    times = {
        f"p{which}": float(value) * units[unit]
        for which, value, unit in re.findall(r"(50|99)%\s+([\d.]+)(us|ms|s)", said)
    }
    errors = re.findall(r"Non-2xx.*|Socket errors.*", said)
    return {
        **times,
        "requests": float(re.findall(r"Requests/sec:\s+([\d.]+)", said)[0]),
        "errors": "; " + "; ".join(errors) if errors else "",
    }


async def check(
    address: str, process: int, texts: list[str], expected: dict[str, Any], most: int
) -> tuple[int, list[float], float]:
    """Ask ``most`` times with 64 clients, and compare every answer; memory of the server after each tenth."""
    numbers = iter(range(most))
    wrong, done, sizes, begun = 0, 0, [resident(process)], time.perf_counter()
    host, port = address.removeprefix("http://").rstrip("/").split(":")

    async def client() -> None:
        nonlocal wrong, done
        reader, writer = await asyncio.open_connection(host, int(port))
        for number in numbers:
            text = texts[number * 7919 % len(texts)]
            wrong += await asked(reader, writer, text) != expected[text]
            done += 1
            if done % (most // 10) == 0:
                sizes.append(resident(process))
        writer.close()

    await asyncio.gather(*(client() for _ in range(64)))
    return wrong, sizes, time.perf_counter() - begun


async def asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, text: str) -> Any:
    """What a request is answered with; ``None`` if it is an error. By hand: httpx takes longer than the server."""
    body = json.dumps({"text": text}).encode()
    head = f"POST /tag HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    answer = (await reader.readuntil(b"\r\n\r\n")).lower()
    content = await reader.readexactly(int(re.findall(rb"content-length: (\d+)", answer)[0]))
    return json.loads(content) if answer.startswith(b"http/1.1 200") else None


def resident(process: int) -> float:
    """Megabytes that the process has in memory."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1000


if __name__ == "__main__":
    main()
