"""Pieces of policies, shortened where every test would say the same."""

from __future__ import annotations

import base64
import json
from typing import Any

Json = dict[str, Any]

# The address that the tests' clients call from, and no other of the loopback net.
TRUSTED_CALLER: Json = {"clientIp": {}, "cidr": ["127.0.0.1/32"]}


def policy(*routes: Json, **others: Any) -> Json:
    """A policy of these routes that explains itself to the tests' clients."""
    return {
        "name": "shop",
        "explain": {"when": [TRUSTED_CALLER]},
        "report": {"accessLog": True},
        "routes": list(routes),
        **others,
    }


def route(name: str, *, share: str = "0%", variant: Json | None = None, **others: Any) -> Json:
    """A route of the host `NAME.test` with one canary; its key is x-user-id by default."""
    return {
        "name": name,
        "match": {"hosts": [f"{name}.test"]},
        "key": [{"header": "x-user-id"}],
        "variants": [{"name": "canary", "share": share, **(variant or {})}],
        **others,
    }


def rule(name: str, when: Json | list[Json], then: Json | None = None) -> Json:
    """A rule that sends to the canary unless said otherwise."""
    conditions = when if isinstance(when, list) else [when]
    return {"name": name, "when": conditions, "then": then or {"variant": "canary"}}


def jwt(claims: Json) -> str:
    """An authorization header with these claims; the signature is not looked at."""

    def part(value: Json) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"Bearer {part({'alg': 'none'})}.{part(claims)}.c2ln"
