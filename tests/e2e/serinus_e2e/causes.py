"""Ways for requests to end, each with what Envoy says of it and the outcome that it is.

Each cause is a route of the policy and a virtual host of Envoy's by the same name, with a cluster
of its own, so that what is counted for that route comes from that cause alone.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import uuid4

import grpc
import httpx
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from . import raw
from .broken import GRPC_METHOD
from .client import Client
from .config import Config, connection_manager
from .policies import Json, policy, route, rule

# Makes one request: the proxy's port, the host to name, whether by HTTP/2.
Send = Callable[[int, str, bool], None]
USER = "anna"
# What a client sees of an answer that ends too early.
CUT_OFF = (httpx.RemoteProtocolError, httpx.ReadError)


def ask(path: str, status: int | None, method: str = "GET") -> Send:
    """Asks, and sees that status; None for an answer that is cut off."""

    def send(port: int, host: str, http2: bool) -> None:
        with Client(port, http2) as client:
            target = path.replace("{new}", uuid4().hex)
            headers = {"x-user-id": USER}
            try:
                seen = client.ask(target, host=host, method=method, headers=headers).status
            except CUT_OFF:
                seen = None
            assert seen == status, f"{host}{path}: {seen}"

    return send


def leave(path: str, after: float) -> Send:
    """Asks, and leaves so many seconds later."""

    def send(port: int, host: str, http2: bool) -> None:
        headers = [(b"host", host.encode()), (b"x-user-id", USER.encode())]
        raw.leave(port, http2, path.encode(), headers, after)

    return send


def upload_nothing(port: int, host: str, _: bool) -> None:
    """Announces a body that never comes."""
    headers = [(b"host", host.encode()), (b"x-user-id", USER.encode()), (b"content-length", b"9")]
    assert raw.send(port, False, b"POST", b"/hang", headers)[0] == 408


def call(request: str, code: grpc.StatusCode) -> Send:
    """A gRPC call that ends with that status."""

    def send(port: int, host: str, _: bool) -> None:
        options = (("grpc.default_authority", host), ("grpc.use_local_subchannel_pool", 1))
        with grpc.insecure_channel(f"127.0.0.1:{port}", options) as channel:
            pay = channel.unary_unary(GRPC_METHOD)
            try:
                pay(request.encode(), metadata=(("x-user-id", USER),), timeout=20)
                seen = grpc.StatusCode.OK
            except grpc.RpcError as error:
                seen = error.code()
            assert seen == code, f"{host}: {seen}"

    return send


def open_websocket(port: int, host: str, path: str = "/") -> ClientConnection:
    """A WebSocket through the proxy."""
    return connect(
        f"ws://{host}{path}",
        sock=socket.create_connection(("127.0.0.1", port)),
        additional_headers={"x-user-id": USER},
        proxy=None,
        compression=None,
    )


def talk(port: int, host: str, _: bool) -> None:
    """A WebSocket that the client closes."""
    with open_websocket(port, host) as websocket:
        websocket.send("hello")
        assert websocket.recv(20) == "hello"


def be_sent_away(port: int, host: str, _: bool) -> None:
    """A WebSocket that the version closes."""
    with open_websocket(port, host) as websocket:
        websocket.send("bye")
        try:
            websocket.recv(20)
        except ConnectionClosed:
            return
    raise AssertionError("the WebSocket is still open")


def be_refused(port: int, host: str, _: bool) -> None:
    """A WebSocket whose handshake the version answers with 503."""
    try:
        open_websocket(port, host, "/status/503")
    except InvalidStatus as refused:
        assert refused.response.status_code == 503
        return
    raise AssertionError("the handshake succeeded")


def lose_the_server(port: int, host: str, _: bool) -> None:
    """A WebSocket whose server dies."""
    with open_websocket(port, host) as websocket:
        websocket.send("die")
        try:
            websocket.recv(20)
        except ConnectionClosed:
            return
    raise AssertionError("the WebSocket is still open")


def walk_out(port: int, host: str, _: bool) -> None:
    """A WebSocket whose client goes without a word."""
    raw.tunnel(port, host, b"", [(b"x-user-id", USER.encode())])


def be_cut_off(port: int, host: str, _: bool) -> None:
    """A WebSocket whose stream the version resets."""
    assert raw.tunnel(port, host, b"hello", [(b"x-user-id", USER.encode())]) == b""


@dataclass(frozen=True)
class Cause:
    """One way for a request to end.

    `upstream` names a port of the broken shop, or `refusing`, `none` (a cluster without hosts) or
    `missing` (no cluster). `flags` and `details` are the access log's; details may go on.
    """

    outcome: str
    send: Send
    details: str
    flags: str = "-"
    flags_over_http2: str | None = None
    variant: str = "canary"
    upstream: str = "http1"
    # How often Envoy tried, where it matters.
    attempts: int | None = None
    action: Json = field(default_factory=dict)
    cluster: Json = field(default_factory=dict)
    rules: list[Json] = field(default_factory=list)


RESPOND = {"respond": {"status": 426, "body": "Please update the app.\n"}}
ONE_RETRY = {"retry_policy": {"retry_on": "5xx", "num_retries": 1}}
EACH_TRY = {"retry_policy": {**ONE_RETRY["retry_policy"], "per_try_timeout": "0.2s"}}
NO_CONNECTIONS = {"circuit_breakers": {"thresholds": [{"max_pending_requests": 0}]}}
HTTP2 = {
    "typed_extension_protocol_options": {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {"allow_connect": True}},
        }
    }
}

OF_VERSION = "via_upstream"
BEFORE = "upstream_reset_before_response_started"
AFTER = "upstream_reset_after_response_started"

CAUSES: dict[str, Cause] = {
    # the version answers
    "fine": Cause("ok", ask("/status/200", 200), OF_VERSION, attempts=1),
    "head": Cause("ok", ask("/status/200", 200, "HEAD"), OF_VERSION),
    "redirect": Cause("ok", ask("/status/302", 302), OF_VERSION),
    "not-modified": Cause("ok", ask("/status/304", 304), OF_VERSION),
    "not-found": Cause("ok", ask("/status/404", 404), OF_VERSION),
    "hints": Cause("ok", ask("/hints", 200), OF_VERSION),
    "failing": Cause("error_status", ask("/status/503", 503), OF_VERSION, attempts=1),
    "retried": Cause("ok", ask("/once/{new}", 200), OF_VERSION, action=ONE_RETRY, attempts=2),
    "retried-in-vain": Cause(
        "error_status", ask("/status/503", 503), OF_VERSION, "URX", action=ONE_RETRY, attempts=2
    ),
    # the version does not answer, or not to the end
    "refused-connection": Cause("error_connect", ask("/", 503), BEFORE, "UF", upstream="refusing"),
    "closed-before": Cause("error_reset_before", ask("/reset-before", 503), BEFORE, "UC"),
    "closed-after": Cause("error_reset_after", ask("/reset-after", None), AFTER, "UPE"),
    "reset-before": Cause(
        "error_reset_before", ask("/reset-before", 503), BEFORE, "UR", upstream="http2"
    ),
    "reset-after": Cause(
        "error_reset_after", ask("/reset-after", None), AFTER, "UR", upstream="http2"
    ),
    "timeout": Cause(
        "error_timeout", ask("/hang", 504), "response_timeout", "UT", action={"timeout": "0.3s"}
    ),
    "timeout-of-each-try": Cause(
        "error_timeout",
        ask("/hang", 504),
        "upstream_per_try_timeout",
        "URX,UT",
        action=EACH_TRY,
        attempts=2,
    ),
    "idle": Cause(
        "error_timeout",
        ask("/hang", 504),
        "stream_idle_timeout",
        "SI",
        action={"idle_timeout": "0.3s"},
    ),
    "too-long": Cause(
        "error_timeout",
        ask("/hang", 504),
        "max_duration_timeout",
        action={"max_stream_duration": {"max_stream_duration": "0.3s"}},
    ),
    # there is no way to the version
    "no-host": Cause("error_no_host", ask("/", 503), "no_healthy_upstream", "UH", upstream="none"),
    "no-cluster": Cause(
        "error_no_host", ask("/", 503), "cluster_not_found", "NC", upstream="missing"
    ),
    "overload": Cause(
        "error_overload", ask("/", 503), BEFORE + "{overflow}", "UO", cluster=NO_CONNECTIONS
    ),
    # gRPC
    "grpc-ok": Cause("ok", call("0", grpc.StatusCode.OK), OF_VERSION, upstream="grpc"),
    "grpc-not-found": Cause(
        "ok", call("5", grpc.StatusCode.NOT_FOUND), OF_VERSION, upstream="grpc"
    ),
    "grpc-trailers": Cause(
        "error_grpc",
        call("13 trailers", grpc.StatusCode.INTERNAL),
        OF_VERSION,
        upstream="grpc",
    ),
    "grpc-trailers-only": Cause(
        "error_grpc", call("14", grpc.StatusCode.UNAVAILABLE), OF_VERSION, upstream="grpc"
    ),
    # WebSocket
    "websocket": Cause("ok", talk, AFTER, "UC", upstream="websocket"),
    "websocket-closed": Cause("ok", be_sent_away, AFTER, "UC", upstream="websocket"),
    "websocket-refused": Cause("error_status", be_refused, OF_VERSION),
    # Envoy says the same of a server that dies as of one that closes.
    "websocket-died": Cause("ok", lose_the_server, AFTER, "UC", upstream="websocket"),
    "websocket-left": Cause(
        "ok", walk_out, "downstream_remote_disconnect", "DC", upstream="websocket"
    ),
    "websocket-reset": Cause("error_reset_after", be_cut_off, AFTER, "UR", upstream="http2"),
    # the proxy answers
    "own-reply": Cause(
        "refused",
        ask("/", 426),
        "serinus",
        variant="stable",
        rules=[rule("too-old", {"path": {}, "exact": "/"}, RESPOND)],
    ),
    "direct-response": Cause(
        "refused", ask("/", 418), "direct_response", action={"direct_response": {"status": 418}}
    ),
    "no-route": Cause("refused", ask("/", 404), "route_not_found", "NR", action={"none": True}),
    # the caller
    "caller-left": Cause("aborted", leave("/hang", 0.2), "", "DC", flags_over_http2="DR"),
    "caller-stalls": Cause(
        "aborted",
        upload_nothing,
        "stream_idle_timeout",
        "SI",
        action={"idle_timeout": "0.3s"},
    ),
}


def causes_policy() -> Json:
    """A policy that sends every caller of each cause's host to the canary."""
    return policy(*(route(name, share="100%", rules=cause.rules) for name, cause in CAUSES.items()))


def add_causes(config: Config, ports: dict[str, int]) -> None:
    """Adds the causes' hosts and clusters, WebSockets, and a log of all ends, `ends.log`."""
    manager = connection_manager(config)
    hosts = [virtual_host(name, cause) for name, cause in CAUSES.items()]
    manager["route_config"]["virtual_hosts"] += hosts
    manager["upgrade_configs"] = [{"upgrade_type": "websocket"}]
    # Envoy waits a second by default before it closes a connection whose answer was cut off.
    manager["delayed_close_timeout"] = "0.1s"
    first = manager["access_log"][0]["typed_config"]
    ends = {**first, "path": first["path"].replace("access.log", "ends.log")}
    ends["log_format"] = {"json_format": END_FIELDS}
    manager["access_log"].append({"name": "envoy.access_loggers.file", "typed_config": ends})
    config["static_resources"]["clusters"] += [
        cluster(name, cause, ports) for name, cause in CAUSES.items() if cause.upstream != "missing"
    ]


END_FIELDS = {
    "host": "%REQ(:AUTHORITY)%",
    "protocol": "%PROTOCOL%",
    "status": "%RESPONSE_CODE%",
    "flags": "%RESPONSE_FLAGS%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "grpc": "%GRPC_STATUS_NUMBER%",
    "grpc_header": "%RESP(grpc-status)%",
    "grpc_trailer": "%TRAILER(grpc-status)%",
    "variant": "%REQ(x-serinus-variant)%",
}


def virtual_host(name: str, cause: Cause) -> Config:
    action = dict(cause.action)
    routes: list[Config] = []
    if "direct_response" in action:
        routes = [{"match": {"prefix": "/"}, **action}]
    elif "none" not in action:
        # A cluster that is missing passes Envoy's check of the file only if a header names it.
        missing = cause.upstream == "missing"
        to = {"cluster_header": "x-serinus-variant"} if missing else {"cluster": name}
        routes = [{"match": {"prefix": "/"}, "route": {**to, **action}}]
    return {"name": name, "domains": [f"{name}.test"], "routes": routes}


def cluster(name: str, cause: Cause, ports: dict[str, int]) -> Config:
    """The cluster of a cause, with one host or none."""
    port = ports.get(cause.upstream)
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    hosts = [] if port is None else [{"endpoint": {"address": address}}]
    is_http2 = cause.upstream in ("http2", "grpc")
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": hosts}]},
        **(HTTP2 if is_http2 else {}),
        **cause.cluster,
    }
