"""A real registry, and the filter's images in it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from serinus_e2e import paths

from . import places
from .process import Program, status_of

HOST = "127.0.0.1:5000"
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


def push(layout: Path, name: str, host: str = HOST) -> str:
    """Sends a layout to `name`, as repository:tag; returns the reference by digest."""
    return tool("push", "--layout", layout, f"{host}/{name}")


def crane(*arguments: object) -> str:
    command = [places.program("crane"), *map(str, arguments), "--insecure"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
