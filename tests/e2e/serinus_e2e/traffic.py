"""Much traffic of many users at a steady rate, in the background."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Callable
from typing import NamedTuple, Self

LARGEST_LAG = 0.25


class Seen(NamedTuple):
    """An answer: when it came, whose it was, and of which version (empty: the proxy's own)."""

    at: float
    user: int
    version: str
    status: int
    method: str = "GET"


class Traffic:
    """Asks `rate` times a second on `connections` connections, user after user.

    Each connection has one request under way at a time. One that falls behind, because answers take
    long, catches up by at most a quarter of a second. `ask` says by which method a user asks,
    and with which further header.
    """

    def __init__(
        self,
        port: int,
        host: str,
        rate: int,
        users: int = 20_000,
        connections: int = 50,
        path: str = "/",
        ask: Callable[[int], tuple[str, str]] = lambda user: ("GET", ""),
    ):
        self._port, self._host, self._path, self._asks = port, host, path, ask
        self._every = connections / rate
        self._connections = connections
        self._users = itertools.cycle(range(users))
        self.seen: list[Seen] = []
        self._failed: BaseException | None = None

    def __enter__(self) -> Self:
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        if self._failed:
            raise self._failed

    def since(self, began: float, version: str = "v2") -> list[Seen]:
        """Answers of a version since then."""
        return [one for one in self.seen if one.at >= began and one.version == version]

    def _run(self) -> None:
        try:
            asyncio.run(self._all())
        except BaseException as error:  # noqa: BLE001 - told by whoever waits for the thread
            self._failed = error

    async def _all(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(self._connections):
                group.create_task(self._ask(number / self._connections * self._every))

    async def _ask(self, after: float) -> None:
        await asyncio.sleep(after)
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        due = time.monotonic()
        while not self._end.is_set():
            user = next(self._users)
            method, header = self._asks(user)
            lines = [
                f"{method} {self._path} HTTP/1.1",
                f"host: {self._host}",
                f"x-user-id: user-{user}",
                *(["content-length: 0"] if method == "POST" else []),
                *([header] if header else []),
            ]
            writer.write("\r\n".join([*lines, "\r\n"]).encode())
            body_bytes = self._keep(user, method, await reader.readuntil(b"\r\n\r\n"))
            await reader.readexactly(body_bytes)
            due = max(due + self._every, time.monotonic() - LARGEST_LAG)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        writer.close()

    def _keep(self, user: int, method: str, head: bytes) -> int:
        status, *lines = head.decode("latin-1").split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in lines if line)
        version = fields.get("x-shop-version", "")
        code = int(status.split(" ")[1])
        self.seen.append(Seen(time.monotonic(), user, version, code, method))
        return int(fields.get("content-length", 0))
