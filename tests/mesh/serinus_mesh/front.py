"""An application between two hops: asks the shop by way of its sidecar, and hands on `baggage`."""

from __future__ import annotations

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

# What a well-behaved application forwards, beside its trace headers.
FORWARDED = ["baggage", "x-user-id"]


class Front:
    """Listens on a free port; `ask` is where it sends, and the host that it names."""

    def __init__(self, ask: tuple[str, int], host: str):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                sent = {name: self.headers[name] for name in FORWARDED if name in self.headers}
                onward = http.client.HTTPConnection(*ask, timeout=20)
                onward.request("GET", self.path, headers={"host": host, **sent})
                answer = onward.getresponse()
                body = answer.read()
                onward.close()
                self.send_response(answer.status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
