"""A collector of traces: keeps the spans that Envoy's Zipkin tracer sends."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from .envoy import eventually

Span = dict[str, Any]
# Envoy sends its spans every five seconds, or when there are enough of them.
FLUSH_SECONDS = 20.0


class Collector:
    """Takes spans at /api/v2/spans. Use it as a context manager."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        spans = self.spans

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                assert self.headers["transfer-encoding"] == "chunked"
                body = b"".join(iter(self._chunk, b""))
                if self.path == "/api/v2/spans":
                    spans.extend(json.loads(body))
                self.send_response(202)
                self.send_header("content-length", "0")
                self.end_headers()

            def _chunk(self) -> bytes:
                """One chunk of the body; the last one is empty. Envoy sends no trailers."""
                chunk = self.rfile.read(int(self.rfile.readline(), 16))
                self.rfile.readline()
                return chunk

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]

    def span(self, trace: str) -> Span:
        """The span that the proxy made of a trace."""

        def find() -> Span | None:
            return next((span for span in self.spans if span["traceId"] == trace), None)

        found = eventually(find, f"a span of {trace}", FLUSH_SECONDS)
        assert found
        return found

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
