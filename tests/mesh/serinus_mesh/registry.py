"""A real registry, and the filter's images in it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from serinus_e2e import paths

from . import places
from .process import Program, status_of

HOST = "127.0.0.1:5000"
OTHER_VERSION = "9.9.9"
IMAGE_TOOL = places.ROOT / "image/image.py"


def registry(folder: Path) -> Program:
    command = [places.program("crane"), "registry", "serve", "--address", HOST]
    return Program("registry", folder, command, lambda: status_of(f"http://{HOST}/v2/") == 200)


def tool(*arguments: object) -> str:
    """The last line that the image tool prints; its errors as an AssertionError."""
    done = subprocess.run(
        [sys.executable, IMAGE_TOOL, *map(str, arguments)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def build(layout: Path, wasm: Path | None = None, source: str = "https://example.com/s") -> str:
    """Writes the image of a filter, the built one by default; returns its digest."""
    wasm = wasm or paths.wasm()
    return tool("build", "--layout", layout, "--wasm", wasm, "--source", source)


def other_module(folder: Path) -> Path:
    """The filter as of another version: the same, but for what it says of itself."""
    version, wasm = paths.crate_version().encode(), paths.wasm().read_bytes()
    assert len(version) == len(OTHER_VERSION) and version in wasm
    other = folder / "other.wasm"
    other.write_bytes(wasm.replace(version, OTHER_VERSION.encode()))
    return other


def push(layout: Path, name: str, host: str = HOST) -> str:
    """Sends a layout to `name`, as repository:tag; returns the reference by digest."""
    return tool("push", "--layout", layout, f"{host}/{name}")


def crane(*arguments: object) -> str:
    command = [places.program("crane"), *map(str, arguments), "--insecure"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
