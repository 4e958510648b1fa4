"""A program that runs beside the tests, with its output in a file."""

from __future__ import annotations

import os
import ssl
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

import httpx

from serinus_e2e.child import end
from serinus_e2e.envoy import eventually

# Each is ready in a second or two; a machine that compiles beside it may need far longer.
START_SECONDS = 120.0
STOP_SECONDS = 15.0


# Making a context reads all certificates of the machine, and probes are many.
_PLAIN = ssl.create_default_context()


def status_of(url: str, headers: Mapping[str, str] | None = None, ca: Path | None = None) -> int:
    """The status of what answers there; 0 if nothing does."""
    context = ssl.create_default_context(cafile=ca) if ca else _PLAIN
    try:
        return httpx.get(url, timeout=5, headers=headers, verify=context).status_code
    except httpx.TransportError:
        return 0


class Program:
    """A running program. `ready` is asked again and again until it is true."""

    def __init__(
        self,
        name: str,
        folder: Path,
        command: list[object],
        ready: Callable[[], object],
        environment: Mapping[str, str] | None = None,
    ):
        self.name, self._folder, self._ready = name, folder, ready
        self._command = [str(part) for part in command]
        # Nothing of this machine's settings, such as a proxy for the internet.
        self._environment = {"PATH": os.environ["PATH"], "HOME": str(folder), **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self.ready_after = 0.0

    @property
    def log(self) -> str:
        """What it wrote, of all its starts."""
        return (self._folder / f"{self.name}.log").read_text(errors="replace")

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        with open(self._folder / f"{self.name}.log", "ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=self._folder, env=self._environment, stdout=log, stderr=log
            )
        try:
            eventually(self._is_ready, f"{self.name} is ready", START_SECONDS)
        except AssertionError as error:
            self.stop()
            raise AssertionError(f"{error}\n{self.log[-4000:]}") from None
        self.ready_after = time.monotonic() - began
        return self

    def _is_ready(self) -> object:
        assert self.is_running, f"{self.name} ended at its start"
        return self._ready()

    def stop(self) -> None:
        """Ends it; once more does nothing."""
        if not self._process:
            return
        end(self._process, STOP_SECONDS)
        self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
