"""WebSockets to the shop through a proxy."""

from __future__ import annotations

import socket
from typing import Self

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from .config import Config, connection_manager

HOST = "shop.example.com"


def let_through(config: Config) -> None:
    """What docs/recipes/sessions.md says of Envoy: WebSockets pass, and streams may last."""
    manager = connection_manager(config)
    manager["upgrade_configs"] = [{"upgrade_type": "websocket"}]
    for host in manager["route_config"]["virtual_hosts"]:
        for route in host["routes"]:
            route["route"]["timeout"] = "0s"
    # Only so that tests don't wait: Envoy stays a second with a connection that it closes.
    manager["delayed_close_timeout"] = "0.05s"


class Socket:
    """An open WebSocket of one user."""

    def __init__(self, port: int, headers: dict[str, str], path: str = "/chat"):
        self._socket = connect(
            f"ws://{HOST}{path}",
            sock=socket.create_connection(("127.0.0.1", port)),
            additional_headers=headers,
            proxy=None,
            compression=None,
        )

    def say(self, text: str = "hello") -> str:
        """The version that answers; nothing once the socket is closed."""
        try:
            self._socket.send(text)
            version, _, said = str(self._socket.recv(20)).partition(": ")
        except (ConnectionClosed, OSError):
            return ""
        assert said == text
        return version

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
