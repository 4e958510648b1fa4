"""Writes the filter as an OCI layout (`build`), and sends a layout to a registry (`push`)."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tomllib
import urllib.error
from pathlib import Path

from layout import Bad, Image, Labels
from registry import Reference, Registry

ROOT = Path(__file__).resolve().parents[1]


def git(*arguments: str) -> str:
    """What git says of this checkout; nothing outside one."""
    asked = subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True)
    return asked.stdout.strip() if asked.returncode == 0 else ""


def labels(source: str) -> Labels:
    """The crate's version, the checkout's commit, and where the source is if anybody knows."""
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["version"]
    remote = git("remote", "get-url", "origin")
    # A remote may be a folder, or hold a password.
    if not source and remote.startswith("https://") and "@" not in remote:
        source = remote
    if not source:
        print("serinus: the image names no source: say SOURCE=https://…", file=sys.stderr)
    commit = git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    return Labels(version, commit, source)


def build(wasm: Path, folder: Path, source: str) -> None:
    try:
        content = wasm.read_bytes()
    except FileNotFoundError:
        raise Bad(f"the filter is not built ({wasm}): run `make build`") from None
    image = Image.of(content, labels(source))
    image.write(folder)
    print(f"serinus: {wasm} as an OCI layout at {folder}", file=sys.stderr)
    print(image.digest)


def push(folder: Path, text: str) -> None:
    image, reference = Image.read(folder), Reference.parse(text)
    try:
        Registry(reference).push(image)
    except urllib.error.HTTPError as error:
        said = error.read().decode(errors="replace")[:300]
        raise Bad(f"{reference.host} says {error.code} to {error.url}: {said}") from error
    except OSError as error:
        raise Bad(f"{reference.host} cannot be reached: {error}") from error
    print(f"{reference.host}/{reference.repository}@{image.digest}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("build", "push"):
        command = commands.add_parser(name)
        command.add_argument("--layout", type=Path, default=ROOT / "target/image")
        if name == "build":
            command.add_argument("--wasm", type=Path, default=ROOT / "target/serinus.wasm")
            command.add_argument("--source", default="", help="the address of the source")
        else:
            command.add_argument("reference", help="HOST/REPOSITORY:TAG")
    asked = parser.parse_args()
    try:
        if asked.command == "build":
            build(asked.wasm, asked.layout, asked.source)
        else:
            push(asked.layout, asked.reference)
    except Bad as error:
        print(f"serinus: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
