"""What a test asks Envoy, and what came back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import httpx

Headers = list[tuple[str, str | bytes]]


@dataclass(frozen=True)
class Answer:
    """One response, and what the shop said it had received."""

    response: httpx.Response

    @property
    def status(self) -> int:
        return self.response.status_code

    @cached_property
    def _received(self) -> dict[str, Any]:
        assert self.status == 200, f"{self.status} {self.response.text[:500]}"
        return json.loads(self.response.text)

    @property
    def version(self) -> str:
        return self._received["version"]

    @property
    def path(self) -> str:
        """Path and query as they arrived."""
        return self._received["path"]

    @property
    def body_bytes(self) -> int:
        return self._received["body_bytes"]

    def received(self, name: str) -> list[str]:
        """The values of a request header as they arrived; none if it did not."""
        return [value for key, value in self._received["headers"] if key == name]

    @property
    def received_names(self) -> set[str]:
        return {key for key, _ in self._received["headers"]}

    @cached_property
    def reason(self) -> dict[str, str]:
        """The parts of x-serinus-reason; empty without that header."""
        text = self.response.headers.get("x-serinus-reason", "")
        parts = (part.partition("=") for part in text.split(";") if part)
        return {name.strip(): value.strip() for name, _, value in parts}

    @property
    def set_cookies(self) -> list[str]:
        return self.response.headers.get_list("set-cookie")


class Client:
    """Sends requests to one Envoy over HTTP/1.1, or over HTTP/2 without TLS (prior knowledge)."""

    def __init__(self, port: int, http2: bool, source: str = "127.0.0.1"):
        transport = httpx.HTTPTransport(http1=not http2, http2=http2, local_address=source)
        self._http = httpx.Client(
            base_url=f"http://127.0.0.1:{port}", transport=transport, timeout=20
        )
        self._http.headers.clear()
        self.protocol = "HTTP/2" if http2 else "HTTP/1.1"

    def ask(
        self,
        path: str = "/",
        *,
        host: str = "shop.example.com",
        method: str = "GET",
        headers: Headers | dict[str, str] | None = None,
        explain: bool = True,
        body: bytes | None = None,
    ) -> Answer:
        """One request; `explain` asks the filter for its reason."""
        sent: Headers = [("host", host)]
        sent += list(headers.items()) if isinstance(headers, dict) else headers or []
        if explain:
            sent.append(("x-serinus-explain", "1"))
        raw = [(name.encode(), v.encode() if isinstance(v, str) else v) for name, v in sent]
        # The target goes out as it is written here; a URL would be normalised.
        target = {"target": path.encode()}
        answer = self._http.request(method, "/", headers=raw, content=body, extensions=target)
        return Answer(answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()
