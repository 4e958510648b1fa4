"""WebSockets to the shop through a proxy."""

from __future__ import annotations

import socket
from contextlib import ExitStack
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
        self._open = ExitStack()
        self._socket = self._open.enter_context(
            connect(
                f"ws://{HOST}{path}",
                sock=socket.create_connection(("127.0.0.1", port)),
                additional_headers=headers,
                proxy=None,
                compression=None,
            )
        )

    def send(self, text: str) -> None:
        self._socket.send(text)

    def hears(self) -> str:
        """The version that speaks next; nothing if the socket is closed."""
        try:
            return str(self._socket.recv(20)).partition(": ")[0]
        except (ConnectionClosed, OSError):
            return ""

    def say(self, text: str = "hello") -> str:
        """The version that answers; nothing once the socket is closed."""
        try:
            self.send(text)
        except (ConnectionClosed, OSError):
            return ""
        return self.hears()

    def close(self) -> None:
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Sockets:
    """One WebSocket for each of these users. Use it as a context manager."""

    def __init__(self, port: int, users: list[str]):
        self.of = {user: Socket(port, {"x-user-id": user}) for user in users}

    def versions(self) -> dict[str, str]:
        """Which version answers each user; nothing where the socket is closed."""
        return {user: socket.say() for user, socket in self.of.items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for one in self.of.values():
            one.close()
