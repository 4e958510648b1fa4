"""Servers of the tests that run as processes of their own.

A child prints one line of JSON once it is ready, and serves until its standard input closes, so
that it can't outlive who started it.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

STOP_SECONDS = 10


def end(process: subprocess.Popen[Any], seconds: float = STOP_SECONDS) -> None:
    """Ends a program: by asking it, and if it does not end in that time, without."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def reset(transport: asyncio.WriteTransport) -> None:
    """Ends a connection by a TCP reset."""
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


async def serve_until_closed(ready: Any) -> None:
    """In the child: says that it is ready, and waits for its end."""
    print(json.dumps(ready), flush=True)
    await asyncio.to_thread(sys.stdin.read)


class Child:
    """A running module of this package. Use it as a context manager."""

    def __init__(self, module: str, *arguments: str):
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"serinus_e2e.{module}", *arguments],
            cwd=Path(__file__).resolve().parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout
        self.ready = json.loads(self._process.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends it; once more does nothing."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(STOP_SECONDS)
