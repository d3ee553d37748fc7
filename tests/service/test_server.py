"""The server as a process of its own: its address, clients that are slow or half gone, its end."""

from __future__ import annotations

import json
import signal
import socket
import sys
import threading
import time
import urllib.error
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import ner_elmo
from tests.support.processes import STEP_LIMIT
from tests.support.served import running

pytestmark = [pytest.mark.long, pytest.mark.skipif(sys.platform == "win32", reason="its signals are others")]
TEXT = "Ann sees Rome ."


def test_its_end(trained: Path, repository: Path) -> None:
    """SIGTERM while requests are in flight: they are answered, and the status is 0."""
    with running(trained, repository) as server:
        answers: list[Any] = []
        texts = [TEXT] * 300

        def ask() -> None:
            answers.append(server.tag({"texts": texts}))

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        time.sleep(0.2)
        server.process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join(STEP_LIMIT)
        assert server.process.wait(STEP_LIMIT) == 0
        assert [len(answer["results"]) for answer in answers] == [300] * 3
        with pytest.raises(urllib.error.URLError):
            server.tag({"text": TEXT})


def test_clients_that_are_slow_or_gone_stop_no_others(trained: Path, repository: Path) -> None:
    head = b"POST /tag HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n"
    with running(trained, repository, "--timeout", "2") as server:
        slow = [socket.create_connection(server.place) for _ in range(30)]
        for number, one in enumerate(slow):
            one.sendall(head + b'{"text": "Ann' if number % 2 else head[:40])
        half = socket.create_connection(server.place)
        body = json.dumps({"text": TEXT}).encode()
        half.sendall(head.replace(b"900", str(len(body)).encode()) + body)
        half.shutdown(socket.SHUT_WR)
        gone = socket.create_connection(server.place)
        gone.sendall(head.replace(b"900", str(len(body)).encode()) + body)
        gone.close()
        assert [e["text"] for e in server.tag({"text": TEXT})["entities"]] == ["Ann", "Rome"]
        slow[1].settimeout(STEP_LIMIT)
        assert slow[1].recv(200).startswith(b"HTTP/1.1 408")
        for one in (*slow, half):
            one.close()
        assert server.tag({"text": TEXT})["text"] == TEXT


def closed_within(one: socket.socket, seconds: float) -> bytes:
    """What comes until the server closes; it fails if the server does not."""
    one.settimeout(seconds)
    got = b""
    try:
        while part := one.recv(4096):
            got += part
    except ConnectionResetError:
        pass
    return got


def test_a_head_that_never_ends(trained: Path, repository: Path) -> None:
    body = json.dumps({"text": TEXT}).encode()
    head = b"POST /tag HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    with running(trained, repository, "--timeout", "1") as server:
        first, second, silent = (socket.create_connection(server.place) for _ in range(3))
        first.sendall(head[:40])
        second.sendall(head + body)
        assert second.recv(4096).startswith(b"HTTP/1.1 200")
        second.sendall(head[:40])  # the next request on the same connection
        assert closed_within(first, 20).startswith(b"HTTP/1.1 408")
        assert b"HTTP/1.1 408" in closed_within(second, 20)
        assert closed_within(silent, 20) == b""
        for one in (first, second, silent):
            one.close()


def test_a_client_that_never_reads(trained: Path, repository: Path) -> None:
    """What it does not read is dropped in the end; before, the server held it for good."""
    request = b"GET /page.js HTTP/1.1\r\nHost: x\r\n\r\n"
    with running(trained, repository, "--timeout", "1") as server, socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        one.connect(server.place)
        one.settimeout(20)

        def ask_on() -> None:
            for _ in range(200):
                one.sendall(request * 100)
                time.sleep(0.1)

        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            ask_on()


def test_an_address_that_is_taken(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        status, _, error = ner_elmo(capsys, "serve", "-m", trained, "--port", port)
    assert (status, error.count("\n")) == (1, 1)
    assert f"127.0.0.1:{port}: cannot be listened on" in error


def test_keys_that_are_none(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "keys").write_text("\n")
    status, _, error = ner_elmo(capsys, "serve", "-m", trained, "--api-key-file", tmp_path / "keys")
    assert (status, "found no keys" in error) == (3, True)
    status, _, error = ner_elmo(capsys, "serve", "-m", trained, "--api-key-file", tmp_path / "none")
    assert (status, "no such file" in error) == (2, True)
    status, _, error = ner_elmo(capsys, "serve", "-m", trained, "--cors", "example.org")
    assert (status, "expected an origin" in error) == (2, True)
