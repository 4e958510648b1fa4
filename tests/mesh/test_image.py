"""The OCI image: the same bytes each time, taken by a real registry, with and without a login."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tarfile
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from serinus_e2e import paths
from serinus_mesh import registry
from serinus_mesh.mesh import Mesh


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(it.relative_to(folder)): it.read_bytes() for it in folder.rglob("*") if it.is_file()
    }


def test_the_image_is_the_same_byte_for_byte(tmp_path: Path, proved) -> None:
    """Whatever the file's time, name and rights, the folder, the locale and the zone are."""
    wasm = tmp_path / "other-name.wasm"
    wasm.write_bytes(paths.wasm().read_bytes())
    wasm.chmod(0o700)
    os.utime(wasm, (1, 1))
    first = registry.build(tmp_path / "a")
    again = registry.build(tmp_path / "elsewhere/b", wasm)
    odd = {**os.environ, "TZ": "Asia/Kathmandu", "LC_ALL": "C", "PYTHONHASHSEED": "7"}
    command = [sys.executable, str(registry.IMAGE_TOOL), "build", "--layout", str(tmp_path / "c")]
    subprocess.run([*command, "--source", "https://example.com/s"], env=odd, check=True)
    assert first == again
    assert files(tmp_path / "a") == files(tmp_path / "elsewhere/b") == files(tmp_path / "c")
    proved(f"image: the same bytes from three builds, {first[:19]}…")


def test_another_image_in_the_same_folder_leaves_nothing_of_the_old_one(tmp_path: Path) -> None:
    registry.build(tmp_path / "a", source="https://example.com/old")
    registry.build(tmp_path / "a")
    registry.build(tmp_path / "b")
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_the_layer_holds_the_filter(tmp_path: Path) -> None:
    registry.build(tmp_path / "a")
    (layer,) = manifest(tmp_path / "a")["layers"]
    blob = tmp_path / "a/blobs" / layer["digest"].replace(":", "/")
    with tarfile.open(blob, "r:gz") as tar:
        assert tar.getnames() == ["plugin.wasm"]
        content = tar.extractfile("plugin.wasm")
        assert content and content.read() == paths.wasm().read_bytes()


def manifest(layout: Path) -> dict[str, Any]:
    (listed,) = json.loads((layout / "index.json").read_text())["manifests"]
    return json.loads((layout / "blobs" / listed["digest"].replace(":", "/")).read_text())


def test_it_says_what_it_is(tmp_path: Path) -> None:
    registry.build(tmp_path / "a")
    said = manifest(tmp_path / "a")["annotations"]
    head = subprocess.run(
        ["git", "-C", paths.ROOT, "rev-parse", "HEAD"], capture_output=True, text=True
    )
    assert said["org.opencontainers.image.version"] == paths.crate_version()
    assert said["org.opencontainers.image.source"] == "https://example.com/s"
    revision = said.get("org.opencontainers.image.revision", "")
    assert revision.removesuffix("-dirty") == head.stdout.strip()


def test_a_real_registry_takes_it_and_another_client_reads_it(mesh: Mesh, proved) -> None:
    name = f"{registry.HOST}/serinus/serinus:1"
    assert registry.crane("digest", name).strip() == mesh.digest
    registry.crane("validate", "--remote", name)
    labels = json.loads(registry.crane("config", name))["config"]["Labels"]
    assert labels["org.opencontainers.image.version"] == paths.crate_version()
    proved("image: pushed to a real registry, read and validated by crane")


def test_what_is_no_filter_is_refused(tmp_path: Path) -> None:
    (tmp_path / "not.wasm").write_bytes(b"#!/bin/sh\n")
    with pytest.raises(AssertionError, match="not a WebAssembly module"):
        registry.build(tmp_path / "a", tmp_path / "not.wasm")
    with pytest.raises(AssertionError, match="is not built"):
        registry.build(tmp_path / "a", tmp_path / "absent.wasm")
    with pytest.raises(AssertionError, match="run `make image`"):
        registry.push(tmp_path / "none", "a/b:1")


@pytest.mark.parametrize(
    "name", ["serinus", "serinus:1", "UPPER/x:1", "host.test/x", "host.test/x@sha256:0"]
)
def test_what_is_no_reference_is_refused(tmp_path: Path, name: str) -> None:
    registry.build(tmp_path / "a")
    with pytest.raises(AssertionError, match="write REF=HOST/REPOSITORY:TAG"):
        registry.tool("push", "--layout", tmp_path / "a", name)


class Guarded(BaseHTTPRequestHandler):
    """Stands before the real registry, and wants a token, which it gives for a password."""

    protocol_version = "HTTP/1.1"

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        sent = self.headers.get("authorization", "")
        if self.path.startswith("/token?"):
            asked = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)
            fine = sent == "Basic " + base64.b64encode(b"anna:secret").decode()
            fine = fine and asked["scope"] == ["repository:guarded/s:pull,push"]
            return self.answer(200 if fine else 401, [], b'{"token": "t0ken"}')
        if sent != "Bearer t0ken":
            realm = f"http://{self.headers['host']}/token"
            wants = ("www-authenticate", f'Bearer realm="{realm}",service="guarded"')
            return self.answer(401, [wants], b"")
        request = urllib.request.Request(
            f"http://{registry.HOST}{self.path}", body or None, method=self.command
        )
        if self.command in ("POST", "PUT"):
            request.data = body
            request.add_header("content-type", self.headers.get("content-type", "text/plain"))
        try:
            with urllib.request.urlopen(request) as got:
                location = got.headers.get("location")
                headers = [("location", location)] if location else []
                self.answer(got.status, headers, got.read())
        except urllib.error.HTTPError as error:
            self.answer(error.code, [], error.read())

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = handle_any

    def answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def guarded(mesh: Mesh) -> Iterator[str]:
    """The address of the real registry behind a login."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Guarded)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_a_registry_that_wants_a_login_gets_the_one_that_docker_keeps(
    mesh: Mesh, guarded: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proved
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with pytest.raises(AssertionError, match="says 401"):
        registry.push(mesh.layout, "guarded/s:1", guarded)
    known = {"auths": {guarded: {"auth": base64.b64encode(b"anna:secret").decode()}}}
    (tmp_path / "config.json").write_text(json.dumps(known))
    registry.push(mesh.layout, "guarded/s:1", guarded)
    assert registry.crane("digest", f"{registry.HOST}/guarded/s:1").strip() == mesh.digest
    proved("image: pushed to a registry that wants a token")
