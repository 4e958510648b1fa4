"""One version of a small shop: answers every request with what arrived, as JSON.

`python -m serinus_e2e.shop VERSION` prints its port and serves until its standard input closes, so
that it can't outlive who started it.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from aiohttp import web

# Larger than anything that the tests send; Envoy's own limits are what they are about.
MAX_HEADER_BYTES = 1 << 20


async def serve(version: str) -> None:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
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
    print(runner.addresses[0][1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


@dataclass
class Shop:
    """A running shop of one version."""

    version: str
    port: int
    _process: subprocess.Popen[str]

    @classmethod
    def start(cls, version: str) -> Self:
        process = subprocess.Popen(
            [sys.executable, "-m", "serinus_e2e.shop", version],
            cwd=Path(__file__).resolve().parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout
        return cls(version, int(process.stdout.readline()), process)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(10)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
