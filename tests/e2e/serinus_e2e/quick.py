"""A version of the shop for much traffic, which can be told to fail and to be slow.

`python -m serinus_e2e.quick VERSION` serves as `child` has it: HTTP/1.1 without bodies, no more.
What `behave` says holds from the next request on.
"""

from __future__ import annotations

import asyncio
import random
import sys
import urllib.parse
import urllib.request

from .child import Child, serve_until_closed

CONTROL = b"/behave?"


class Behaviour:
    """What becomes of requests."""

    def __init__(self, version: str):
        self.version = version
        # The part of requests that fails, of those that is declined, and seconds that answers take.
        self.fail, self.decline, self.after = 0.0, 0.0, 0.0

    def set(self, query: str) -> None:
        for name, (value,) in urllib.parse.parse_qs(query).items():
            setattr(self, name, float(value))

    def answer(self) -> bytes:
        status = b"402 Payment Required" if random.random() < self.decline else b"200 OK"
        status = b"503 Failed" if random.random() < self.fail else status
        version = self.version.encode()
        return b"HTTP/1.1 %s\r\nx-shop-version: %s\r\ncontent-length: 0\r\n\r\n" % (status, version)


class Connection(asyncio.Protocol):
    def __init__(self, behaviour: Behaviour):
        self._behaviour, self._unread = behaviour, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        *requests, self._unread = (self._unread + data).split(b"\r\n\r\n")
        for request in requests:
            path = request.split(b" ", 2)[1]
            if path.startswith(CONTROL):
                self._behaviour.set(path.removeprefix(CONTROL).decode())
            answer = self._behaviour.answer()
            if path.startswith(CONTROL):
                answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
            # Half to one and a half times as long, as no server takes the same time twice.
            seconds = self._behaviour.after * random.uniform(0.5, 1.5)
            if seconds:
                asyncio.get_running_loop().call_later(seconds, self._write, answer)
            else:
                self._write(answer)

    def _write(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)


async def serve(version: str) -> None:
    behaviour = Behaviour(version)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(behaviour), "127.0.0.1", 0, backlog=1024)
    async with server:
        await serve_until_closed(server.sockets[0].getsockname()[1])


class QuickShop(Child):
    """A running quick shop of one version."""

    def __init__(self, version: str):
        super().__init__("quick", version)
        self.port = int(self.ready)

    def behave(self, *, fail: float = 0.0, after: float = 0.0, decline: float = 0.0) -> None:
        """From now on these parts fail and are declined, and answers take so many seconds."""
        query = urllib.parse.urlencode({"fail": fail, "after": after, "decline": decline})
        urllib.request.urlopen(f"http://127.0.0.1:{self.port}{CONTROL.decode()}{query}").read()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
