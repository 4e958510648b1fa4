"""Ports on which nobody answers."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def refusing() -> Iterator[int]:
    """A port that refuses connections, and that nobody else can be given meanwhile."""
    with socket.socket() as taken:
        # Bound and not listening.
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]
