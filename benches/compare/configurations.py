"""What is compared: a listener each, of one Envoy, before the same upstreams."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Config = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
SERINUS = ROOT / "target/serinus.wasm"
EMPTY = ROOT / "target/serinus-empty-filter.wasm"

TYPE = "type.googleapis.com/envoy.extensions.filters"
# A hash of the caller's id to one of a million slots, by FNV-1a: 32 bits at a time, because Lua's
# numbers hold 53. Callers' own headers go, as every honest split must have it.
LUA = """
function envoy_on_request(handle)
  local headers = handle:headers()
  headers:remove("x-serinus-variant")
  local id = headers:get("x-user-id")
  if id == nil then return end
  local hash = -2128831035
  for place = 1, #id do
    hash = bit.bxor(hash, id:byte(place))
    hash = bit.tobit(hash * 403 + bit.lshift(hash, 24))
  end
  if bit.band(hash, 0x7fffffff) % 1000000 < 50000 then
    headers:add("x-serinus-variant", "canary")
    handle:clearRouteCache()
  end
end
"""
# Of the callers, to the canary.
SHARE = "5%"
# Only what every request needs is asked of the host.
LEAST = {"accessLog": False, "hosts": False}
GATE = {
    "limits": [
        {"signal": "errorRate", "above": "50%", "for": "2m"},
        {"signal": "p99", "above": "10s", "for": "3m"},
    ],
    "budget": {"objective": "90%", "window": "1d"},
}


@dataclass(frozen=True)
class Upstreams:
    """Ports on the loopback address."""

    stable: int
    canary: int
    shadow: int
    hung: int


@dataclass(frozen=True)
class Configuration:
    """One of those that are compared."""

    key: str
    title: str
    filters: tuple[Config, ...] = ()
    route: str = "by_header"
    policy: Config | None = None


def policy(name: str, report: Config, more: Config, before: int = 0) -> Config:
    """A policy that sends callers to the canary by a hash of their id, behind `before` routes that
    take other paths."""
    variants = [{"name": "canary", "share": SHARE}]
    keyed = {"key": [{"header": "x-user-id"}], "variants": variants}
    others = [
        {"name": f"r{n}", "match": {"path": {"prefix": f"/services/team-{n}/"}}, **keyed}
        for n in range(before)
    ]
    own = {"name": "checkout", "match": {"path": {"prefix": "/checkout"}}, **keyed, **more}
    return {"name": name, "report": report, "routes": [*others, own]}


def shadow(share: str, cluster: str = "shadow", **more: object) -> Config:
    """A shadow of so many of the requests that got stable, bounded by nothing but `more`."""
    unbounded = {"maxPerSecond": 100_000, "maxInFlight": 10_000, "maxBytes": 1 << 28}
    # The callers of the load send cookies, which are credentials.
    settings = {"share": share, "forwardCredentials": True, "cluster": cluster}
    return {"shadow": {**settings, "stableCluster": "stable", **unbounded, **more}}


def wasm(name: str, code: Path, text: str) -> Config:
    """A WebAssembly filter in a VM of its own."""
    value = {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": text}
    return {
        "name": name,
        "typed_config": {
            "@type": f"{TYPE}.http.wasm.v3.Wasm",
            "config": {
                "name": name,
                "failure_policy": "FAIL_RELOAD",
                "reload_config": {"backoff": {"base_interval": "0.010s", "max_interval": "1s"}},
                "vm_config": {
                    "vm_id": name,
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {"local": {"filename": str(code)}},
                },
                "configuration": value,
            },
        },
    }


def serinus(key: str, title: str, report: Config, more: Config, before: int = 0) -> Configuration:
    """Serinus under a policy."""
    name = f"serinus-{key.replace('%', '')}"
    rules = policy(name, report, more, before)
    return Configuration(key, title, (wasm(name, SERINUS, json.dumps(rules)),), policy=rules)


def all_of_them() -> list[Configuration]:
    """Those of the issue, and `l`: what a policy without `report` is."""
    lua = {
        "name": "lua",
        "typed_config": {
            "@type": f"{TYPE}.http.lua.v3.Lua",
            "default_source_code": {"inline_string": LUA},
        },
    }
    held = {"gate": {"held": "open"}}
    blind = {**LEAST, "outcomes": False}
    gate = {"gate": GATE}
    return [
        Configuration("a", "no filter, one cluster", route="plain"),
        Configuration("b", "weighted clusters", route="weighted"),
        Configuration("c", "weighted clusters with use_hash_policy", route="sticky"),
        Configuration("d", "weighted clusters, all mirrored", route="mirrored"),
        Configuration("e", "Lua, the same sticky split", (lua,)),
        Configuration("f", "empty filter of the Rust SDK", (wasm("empty", EMPTY, ""),)),
        serinus("g", "Serinus: assignment alone", blind, held),
        serinus("h", "Serinus: assignment and health", LEAST, held),
        serinus("i", "Serinus: health and gate", LEAST, gate),
        serinus("j1", "Serinus: i, 1 % shadowed", LEAST, {**gate, **shadow("1%")}),
        serinus("j10", "Serinus: i, 10 % shadowed", LEAST, {**gate, **shadow("10%")}),
        serinus("j100", "Serinus: i, 100 % shadowed", LEAST, {**gate, **shadow("100%")}),
        serinus("k", "Serinus: i, behind 499 routes", LEAST, gate, before=499),
        serinus("l", "Serinus: i, with the default report", {}, gate),
    ]


def hung() -> list[Configuration]:
    """`i`, and beside it all requests shadowed to an upstream that takes 5 s.

    Once with the default budgets, once with the largest.
    """
    gate = {"gate": GATE}
    default = {
        "share": "100%",
        "forwardCredentials": True,
        "cluster": "hung",
        "stableCluster": "stable",
    }
    return [
        serinus("i", "no shadow", LEAST, gate),
        serinus("x", "hung, default budgets", LEAST, {**gate, "shadow": default}),
        serinus("y", "hung, largest budgets", LEAST, {**gate, **shadow("100%", "hung")}),
    ]


def bootstrap(configurations: list[Configuration], upstreams: Upstreams) -> Config:
    """Envoy's configuration with a listener for each."""
    ports = vars(upstreams)
    return {
        "node": {"id": "bench", "cluster": "bench"},
        "admin": {"address": address(0)},
        "static_resources": {
            "listeners": [listener(configuration) for configuration in configurations],
            "clusters": [cluster(name, ports[name]) for name in ports],
        },
    }


def address(port: int) -> Config:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def cluster(name: str, port: int) -> Config:
    endpoint = {"endpoint": {"address": address(port)}}
    # The mirrored and the hung ones have many requests under way.
    most = {"max_connections": 100_000, "max_pending_requests": 100_000, "max_requests": 100_000}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "circuit_breakers": {"thresholds": [most]},
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [endpoint]}],
        },
    }


def listener(configuration: Configuration) -> Config:
    router = {"name": "router", "typed_config": {"@type": f"{TYPE}.http.router.v3.Router"}}
    host = {"name": "all", "domains": ["*"], "routes": ROUTES[configuration.route]()}
    manager = {
        "@type": f"{TYPE}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": configuration.key,
        "use_remote_address": True,
        "http_filters": [*configuration.filters, router],
        "route_config": {"name": configuration.key, "virtual_hosts": [host]},
    }
    filters = [{"name": "manager", "typed_config": manager}]
    return {
        "name": configuration.key,
        "address": address(0),
        # Both workers get as many connections.
        "connection_balance_config": {"exact_balance": {}},
        "filter_chains": [{"filters": filters}],
    }


def weighted(**more: Any) -> list[Config]:
    clusters = [{"name": "stable", "weight": 95}, {"name": "canary", "weight": 5}]
    by_hash = {"use_hash_policy": True} if "hash_policy" in more else {}
    action = {"weighted_clusters": {"clusters": clusters, **by_hash}, **more}
    return [{"match": {"prefix": "/"}, "route": action}]


def by_header() -> list[Config]:
    told = {"name": "x-serinus-variant", "string_match": {"exact": "canary"}}
    return [
        {"match": {"prefix": "/", "headers": [told]}, "route": {"cluster": "canary"}},
        {"match": {"prefix": "/"}, "route": {"cluster": "stable"}},
    ]


ROUTES: dict[str, Callable[[], list[Config]]] = {
    "plain": lambda: [{"match": {"prefix": "/"}, "route": {"cluster": "stable"}}],
    "weighted": weighted,
    "sticky": lambda: weighted(hash_policy=[{"header": {"header_name": "x-user-id"}}]),
    "mirrored": lambda: weighted(request_mirror_policies=[{"cluster": "shadow"}]),
    "by_header": by_header,
}
