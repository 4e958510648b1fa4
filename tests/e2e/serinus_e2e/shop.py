"""One version of a small shop: answers every request with what arrived, as JSON.

`python -m serinus_e2e.shop VERSION` serves as `child` has it. `Shop.fail` breaks it. A WebSocket
is told the version with all that it says, also by a broken shop; `/events` tells it ten times a
second.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import urllib.error
import urllib.request
from typing import Self

from aiohttp import web

from .child import Child, serve_until_closed

# Larger than anything that the tests send; Envoy's own limits are what they are about.
MAX_HEADER_BYTES = 1 << 20
# A request for this, and the shop fails from then on.
BREAK = "/break"
# A stream of events that has no end.
EVENTS = "/events"
EVENT_SECONDS = 0.1


async def talk(version: str, request: web.BaseRequest) -> web.StreamResponse:
    """Says the version and what it hears, until it hears `bye`; to `later 3`, in three seconds."""
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        match message.data.split():
            case ["bye"]:
                break
            case ["later", seconds]:
                await asyncio.sleep(float(seconds))
        await socket.send_str(f"{version}: {message.data}")
    await socket.close()
    return socket


async def tell(version: str, request: web.BaseRequest) -> web.StreamResponse:
    """Tells the version until nobody listens any more."""
    events = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await events.prepare(request)
    with contextlib.suppress(ConnectionError):
        while True:
            await events.write(f"data: {version}\n\n".encode())
            await asyncio.sleep(EVENT_SECONDS)
    return events


async def serve(version: str) -> None:
    broken = False

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        nonlocal broken
        broken = broken or request.path == BREAK
        if request.headers.get("upgrade") == "websocket":
            return await talk(version, request)
        if request.path == EVENTS:
            return await tell(version, request)
        if broken:
            return web.Response(status=503)
        body_bytes = 0
        async for chunk in request.content.iter_any():
            body_bytes += len(chunk)
        return web.json_response(
            {
                "version": version,
                "method": request.method,
                "path": request.raw_path,
                # One character a byte, so that a header of any bytes can be told.
                "headers": [
                    [name.decode("latin-1").lower(), value.decode("latin-1")]
                    for name, value in request.raw_headers
                ],
                "body_bytes": body_bytes,
            },
            headers={"x-shop-version": version},
        )

    server = web.Server(
        answer, max_line_size=MAX_HEADER_BYTES, max_field_size=MAX_HEADER_BYTES, access_log=None
    )
    runner = web.ServerRunner(server)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    await serve_until_closed(runner.addresses[0][1])
    await runner.cleanup()


class Shop(Child):
    """A running shop of one version."""

    def __init__(self, version: str):
        super().__init__("shop", version)
        self.version = version
        self.port = int(self.ready)

    def fail(self) -> None:
        """From now on every request fails."""
        with contextlib.suppress(urllib.error.HTTPError):
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}{BREAK}").close()

    @classmethod
    def start(cls, version: str) -> Self:
        return cls(version)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
