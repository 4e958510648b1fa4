"""What all scenarios share: a terminal, tables, an Envoy with what stands behind it, and an end."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from serinus_e2e import paths
from serinus_e2e.config import Upstreams
from serinus_e2e.envoy import EcdsEnvoy
from serinus_e2e.shop import Shop

Part = TypeVar("Part")

TEXTS = {
    "the canary",
    "callers saw",
    "route",
    "variant",
    "because",
    "answered by",
    "as",
    "who",
    "told",
}
console = Console(width=None if sys.stdout.isatty() else 100, soft_wrap=True, highlight=False)


@dataclass
class Stage:
    """Where a scenario plays: all that is started on it ends with it."""

    folder: Path
    stack: ExitStack
    version: str = paths.VERSIONS[0]

    def start(self, part: AbstractContextManager[Part]) -> Part:
        return self.stack.enter_context(part)

    def shops(self) -> tuple[Shop, Shop]:
        """One of each version."""
        return self.start(Shop.start("v1")), self.start(Shop.start("v2"))

    def envoy(self, upstreams: Upstreams, policy: Any = None, edit: Any = None) -> EcdsEnvoy:
        return self.start(EcdsEnvoy(self.version, self.folder, upstreams, policy, edit))

    def tell(self, envoy: EcdsEnvoy, rest: str = "") -> None:
        """Says what runs where."""
        console.print(f"Envoy {self.version} with two workers on port {envoy.port}{rest}")


def play(scene: Callable[[Stage], bool], ended: str) -> NoReturn:
    """Plays a scene, says when all is over, and leaves with 0 if it showed what it was to show."""
    try:
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="serinus-demo-"))
            held = scene(Stage(Path(folder), stack))
        console.print(ended)
        sys.exit(0 if held else 1)
    except paths.Missing as missing:
        sys.exit(f"serinus: {missing}")
    except KeyboardInterrupt:
        sys.exit(130)


def table(*columns: str) -> Table:
    """Text is on the left, numbers are on the right."""
    made = Table(box=SIMPLE_HEAD if console.is_terminal else None, pad_edge=False)
    for column in columns:
        made.add_column(column, justify="left" if column in TEXTS else "right")
    return made


def print_log(envoy: EcdsEnvoy, of: str, most: int | None = None) -> int:
    """Prints the filter's first lines in Envoy's log that say this; gives how many there are."""
    lines = [line for line in envoy.log.splitlines() if of in line]
    for line in lines[:most]:
        console.print(line[line.rindex("serinus: ") :], emoji=False, highlight=False)
    return len(lines)
