"""A stand-in of a model hub: the part of its HTTP interface that huggingface_hub speaks for pushing and pulling."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_of_the_test"


@dataclass
class Hub:
    """What it holds.

    Attributes:
        files: of each repository, by their paths.
        large: contents by their SHA-256, sent before the commit that names them.
        cut: a path whose last byte is changed on the way to whoever fetches it.
        asked: the requests so far.
    """

    address: str = ""
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    private: dict[str, bool] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)
    cut: str = ""
    asked: list[str] = field(default_factory=list)

    def sha_of(self, repository: str) -> str:
        """The commit: of all that is there."""
        held = sorted(self.files[repository].items())
        return hashlib.sha1(b"".join(name.encode() + hashlib.sha1(data).digest() for name, data in held)).hexdigest()


@contextmanager
def a_hub() -> Iterator[Hub]:
    """One that listens on this machine until the block ends."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing."""

    def do_POST(self) -> None:
        path, body = self._begin()
        if path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._json({"error": "Invalid credentials"}, 401)
        elif path == "/api/repos/create":
            wanted = json.loads(body)
            name = f"{wanted['organization']}/{wanted['name']}" if wanted.get("organization") else wanted["name"]
            if name in self.hub.files:
                self._json({"error": "exists", "url": f"{self.hub.address}/{name}"}, 409)
            else:
                self.hub.files[name] = {}
                self.hub.private[name] = bool(wanted.get("private") or wanted.get("visibility") == "private")
                self._json({"url": f"{self.hub.address}/{name}"})
        elif found := re.fullmatch(r"/api/models/(.+)/preupload/main", path):
            files = [{**file, "sample": None} for file in json.loads(body)["files"]]
            answer = [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if file["path"].endswith(".hdf5") else "regular",
                    "shouldIgnore": False,
                }
                for file in files
            ]
            self._json({"files": answer})
        elif re.fullmatch(r"/(.+)\.git/info/lfs/objects/batch", path):
            answer = [
                {**entry, "actions": {"upload": {"href": f"{self.hub.address}/large/{entry['oid']}"}}}
                for entry in json.loads(body)["objects"]
            ]
            self._json({"transfer": "basic", "objects": answer})
        elif found := re.fullmatch(r"/api/models/(.+)/commit/main", path):
            self._commit(found[1], body)
        else:
            self._json({"error": f"no such path: {path}"}, 404)

    def do_PUT(self) -> None:
        path, body = self._begin()
        assert hashlib.sha256(body).hexdigest() == path.removeprefix("/large/")
        self.hub.large[path.removeprefix("/large/")] = body
        self._send(200, b"")

    def do_GET(self) -> None:
        path, _ = self._begin()
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            repository = found[1]
            if repository not in self.hub.files or found[2] not in (None, "main", self.hub.sha_of(repository)):
                self._missing()
                return
            siblings = [
                {"rfilename": name, "size": len(data), "blobId": hashlib.sha1(data).hexdigest()}
                for name, data in self.hub.files[repository].items()
            ]
            self._json({"id": repository, "sha": self.hub.sha_of(repository), "siblings": siblings, "private": False})
        elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/(.+)", path):
            files = self.hub.files[found[1]].items()
            tree = [
                {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                for name, data in files
            ]
            self._json(tree)
        elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._file(found[1], found[3])
        else:
            self._missing()

    def do_HEAD(self) -> None:
        self.do_GET()

    def _commit(self, repository: str, body: bytes) -> None:
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                self.hub.files[repository][value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                self.hub.files[repository][value["path"]] = self.hub.large[value["oid"]]
        sha = self.hub.sha_of(repository)
        url = f"{self.hub.address}/{repository}/commit/{sha}"
        self._json({"success": True, "commitOid": sha, "commitUrl": url})

    def _file(self, repository: str, name: str) -> None:
        data = self.hub.files.get(repository, {}).get(name)
        if data is None:
            self._missing()
            return
        sent = data[:-1] + bytes([data[-1] ^ 1]) if name == self.hub.cut else data
        headers = {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X-Repo-Commit": self.hub.sha_of(repository)}
        self._send(200, sent, headers)

    def _missing(self) -> None:
        self._send(404, b'{"error": "Repository not found"}', {"X-Error-Code": "RepoNotFound"})

    def _begin(self) -> tuple[str, bytes]:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(f"{self.command} {path}")
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            return path, self._chunks()
        return path, self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _chunks(self) -> bytes:
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _json(self, value: Any, status: int = 200) -> None:
        self._send(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
