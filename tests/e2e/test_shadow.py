"""Shadows: copies of requests to another version, which no caller notices, and what their answers
come to.

One proxy serves all scenes of a version of Envoy: each has a route and a host of its own, so that
what is counted for it comes from it alone.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from serinus_e2e import raw
from serinus_e2e.client import Client
from serinus_e2e.config import Config, Upstreams, connection_manager
from serinus_e2e.envoy import EcdsEnvoy, becomes, eventually
from serinus_e2e.policies import Json, policy, route, rule
from serinus_e2e.ports import refusing
from serinus_e2e.state import PAGE, State
from serinus_e2e.traffic import Traffic
from serinus_e2e.twin import Twin

WORKERS = 2
USER = {"x-user-id": "anna"}
# By so much stable's answer comes after that of the copy, where the log is to tell its end.
LATER = 0.3
MIB = 1 << 20


def shadowed(name: str, shadow: Json | None = None, **others: Any) -> Json:
    """A route whose requests are all copied, and all compared with the candidate's answer."""
    copies = {"cluster": "shop-v2", "stableCluster": "shop-v1", "share": "100%"}
    copies |= {"maxPerSecond": 1000, "noise": "0%", "confirmPerRaw": 0, **(shadow or {})}
    return route(name, shadow=copies, **others)


@dataclass(frozen=True)
class End:
    """A way for a copy to end: where it goes, how that answers, and what is told of it."""

    counted: set[str]
    word: str
    how: str = "answer"
    cluster: str = "shop-v2"
    timeout: str = "2s"
    worse: str = ""
    # Seconds before stable answers.
    after: float = LATER


DIFFERENT = "raw_pairs different"
ENDS = {
    "unknown": End(
        {"calls not-sent", "not_compared not-sent"}, "not-compared:not-sent", cluster="unknown"
    ),
    "hostless": End(
        {"calls not-sent", "not_compared not-sent"}, "not-compared:not-sent", cluster="hostless"
    ),
    "refusing": End(
        {"calls blocked", "not_compared blocked"}, "not-compared:blocked", cluster="refusing"
    ),
    "failing": End({"calls answered", DIFFERENT}, "different", worse="status"),
    "broken-before": End({"calls failed", DIFFERENT}, "different", "reset-before"),
    "broken-after": End({"calls reset", DIFFERENT}, "different", "reset-after"),
    "hanging": End({"calls failed", DIFFERENT}, "pending", "hang", timeout="400ms"),
    "both-slow": End(
        {"calls failed", "not_compared slow"},
        "not-compared:slow",
        "hang",
        timeout="200ms",
        after=0.6,
    ),
    "endless": End({"calls reset", DIFFERENT}, "pending", "endless", timeout="400ms"),
    "huge": End({"calls reset", DIFFERENT}, "different", "huge", timeout="20s", after=1.0),
}
HUNG: Json = {"timeout": "5s", "maxInFlight": 8}
WRITES: Json = {"methods": ["GET", "HEAD", "POST"], "writes": "allow"}
JUDGED: Json = {"noise": "5%", "confirmPerRaw": 0.1}
# Each is what is wrong with the candidate's answers, in which part of them, and where that shows.
REGRESSIONS: dict[str, tuple[str, float, set[tuple[str, str]]]] = {
    "wrong-value": ("value", 1.0, {("/items/*/price", "value")}),
    "rarely-wrong": ("value", 0.2, {("/items/*/price", "value")}),
    "missing-field": ("missing", 1.0, {("/items/*/name", "missing")}),
    "failing-part": ("status", 0.2, {("", "status")}),
}
# The rate of each route whose answers are judged.
RATE = 100
GATED = route(
    "gated",
    share="20%",
    gate={"warmup": "1s", "signals": ["diffs"]},
    shadow={
        "cluster": "shop-v2",
        "stableCluster": "shop-v1",
        "share": "100%",
        "maxPerSecond": 1000,
    },
)
RULES = [
    rule("staff", {"header": "x-employee", "exact": "true"}),
    rule("old", {"header": "x-old", "exact": "true"}, {"respond": {"status": 426, "body": "old"}}),
]
POLICY = policy(
    route("plain"),
    shadowed(
        "copied",
        {
            **WRITES,
            "host": "v2.internal",
            "rewritePath": {"prefix": "/get_widgets", "with": "/v2/widgets"},
        },
    ),
    shadowed("fenced", {"when": [{"header": "x-copy", "exact": "yes"}]}, rules=RULES),
    shadowed("trusting", {"forwardCredentials": True}),
    shadowed("full", {"cluster": "full"}),
    *(
        shadowed(name, {"cluster": end.cluster, "timeout": end.timeout})
        for name, end in ENDS.items()
    ),
    {**shadowed("bad", {"maxBodyBytes": 2 * MIB}), "match": {"hosts": ["*.bad.test"]}},
    shadowed("short", {"maxBodyBytes": 100}),
    shadowed("grpc", {"cluster": "v2-grpc", "stableCluster": "v1-grpc"}),
    shadowed("late"),
    shadowed("hung", HUNG),
    shadowed("changing", HUNG),
    *(shadowed(name, JUDGED) for name in REGRESSIONS),
    shadowed("noisy", JUDGED),
    GATED,
    page=PAGE,
)


def cluster(name: str, port: int | None, **others: Any) -> Config:
    """A cluster with one host, or none."""
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    hosts = [] if port is None else [{"endpoint": {"address": address}}]
    endpoints = {"cluster_name": name, "endpoints": [{"lb_endpoints": hosts}]}
    return {"name": name, "type": "STATIC", "load_assignment": endpoints, **others}


HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
GRPC = {
    "typed_extension_protocol_options": {
        HTTP_OPTIONS: {
            "@type": f"type.googleapis.com/{HTTP_OPTIONS}",
            "explicit_http_config": {"http2_protocol_options": {}},
        }
    }
}
NO_ROOM = {"circuit_breakers": {"thresholds": [{"max_connections": 0, "max_pending_requests": 0}]}}


def add_clusters(config: Config, stable: Twin, candidate: Twin, nobody: int) -> None:
    manager = connection_manager(config)
    manager["upgrade_configs"] = [{"upgrade_type": "websocket"}]
    to_grpc = {"match": {"prefix": "/"}, "route": {"cluster": "v1-grpc"}}
    manager["route_config"]["virtual_hosts"].append(
        {"name": "grpc", "domains": ["grpc.test"], "routes": [to_grpc]}
    )
    config["static_resources"]["clusters"] += [
        cluster("hostless", None),
        cluster("refusing", nobody),
        cluster("full", candidate.port, **NO_ROOM),
        cluster("v1-grpc", stable.http2_port, **GRPC),
        cluster("v2-grpc", candidate.http2_port, **GRPC),
    ]


@dataclass
class Scene:
    """A proxy, and both versions behind it."""

    envoy: EcdsEnvoy
    stable: Twin
    candidate: Twin

    def word(self, path: str) -> str | None:
        """What the access log says of the copy of the request for `path`."""
        field = self.envoy.logged(path).rpartition('serinus="')[2].rstrip().rstrip('"')
        return dict(pair.split("=", 1) for pair in field.split()).get("shadow")

    def ask(self, host: str, http2: bool, **headers: str) -> tuple[int, str | None]:
        """Status of a request to `host`, and what the log says of its copy."""
        path = f"/{secrets.token_hex(8)}"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with Client(self.envoy.port, http2) as client:
            answer = client.ask(path, host=host, headers={**USER, **named}, explain=False)
        return answer.status, self.word(path)

    def counts(self, route: str) -> dict[str, float]:
        """What the metrics count of a route's copies: `calls answered`, `raw_pairs equal`, …"""
        found = {}
        for metric, value in self.envoy.metrics().items():
            name, _, labels = metric.partition("{")
            name = name.removeprefix("serinus_shadow_")
            if value and name.endswith("_total") and f'route="{route}"' in labels:
                if name != metric.partition("{")[0]:
                    others = [part for part in labels.rstrip("}").split(",") if part]
                    label = [part for part in others if not part.startswith("route=")]
                    text = label[0].split('"')[1] if label else ""
                    found[f"{name.removesuffix('_total')} {text}".strip()] = value
        return found

    def shadow(self, route: str) -> Json:
        """What the state document says of a route's copies."""
        return State(self.envoy).route(route)["shadow"]


@pytest.fixture(scope="module")
def scene(envoy_version: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with ExitStack() as stack:
        stable, candidate = stack.enter_context(Twin()), stack.enter_context(Twin())
        nobody = stack.enter_context(refusing())

        def edit(config: Config) -> None:
            add_clusters(config, stable, candidate, nobody)

        folder = tmp_path_factory.mktemp("shadow")
        ports = Upstreams(stable.port, candidate.port)
        envoy = EcdsEnvoy(envoy_version, folder, ports, POLICY, edit)
        stack.enter_context(envoy)
        assert "policy refused" not in envoy.log, envoy.log
        yield Scene(envoy, stable, candidate)
        envoy.check_unhurt()


def one_copy(twin: Twin, host: str, path: str) -> Any:
    """The copy of the request for `path`, once it has arrived."""
    (copy,) = eventually(lambda: twin.copies(host, path), f"a copy of {path}")
    return copy


def as_told(word: str) -> set[str]:
    """What the log may say for `word`: the end of a call may come late on a busy machine, a call
    that was not made has none."""
    return {word} if word.endswith(":not-sent") else {word, "pending"}


HOP_BY_HOP = [(b"connection", b"x-hop"), (b"x-hop", b"1"), (b"keep-alive", b"timeout=5")]


def test_a_copy_is_a_request_of_its_own_in_the_same_trace(scene: Scene, http2: bool) -> None:
    token, trace, span = secrets.token_hex(8), secrets.token_hex(16), secrets.token_hex(8)
    target = f"/get_widgets/{token}?size=7".encode()
    sent = [
        (b"traceparent", f"00-{trace}-{span}-01".encode()),
        (b"x-user-id", b"anna"),
        (b"te", b"trailers"),
        (b"x-serinus-variant", b"canary"),
        *([] if http2 else HOP_BY_HOP),
    ]
    answers = [
        raw.send(scene.envoy.port, http2, b"GET", target, [(b"host", host), *sent])
        for host in [b"copied.test", b"plain.test"]
    ]
    assert answers[0] == answers[1]
    copy = one_copy(scene.candidate, "v2.internal", token)
    assert (copy.method, copy.path) == ("GET", f"/v2/widgets/{token}?size=7")
    assert (copy.host, copy.header("x-serinus-shadow")) == ("v2.internal", "1")
    assert copy.header("x-user-id") == "anna"
    its_trace, its_span = str(copy.header("traceparent")).split("-")[1:3]
    assert its_trace == trace and its_span != span
    assert not copy.names & {"x-hop", "keep-alive", "te", "transfer-encoding", "connection"}
    assert {name for name in copy.names if name.startswith("x-serinus-")} == {"x-serinus-shadow"}


def test_the_callers_answer_has_the_same_bytes_with_a_copy_as_without(
    scene: Scene, http2: bool
) -> None:
    token = secrets.token_hex(8)
    with Client(scene.envoy.port, http2) as client:
        for method in ["GET", "HEAD"]:
            copied, plain = (
                client.ask(f"/{token}", method=method, host=host, headers=USER).response
                for host in ["copied.test", "plain.test"]
            )
            assert copied.content == plain.content
            own = ("date", "x-envoy-upstream-service-time", "x-serinus-reason")
            for headers in (copied.headers, plain.headers):
                for name in own:
                    headers.pop(name, None)
            assert copied.headers.raw == plain.headers.raw
    eventually(lambda: len(scene.candidate.copies("v2.internal", token)) == 2, "both are copied")


@pytest.mark.parametrize("size", [1, 70_000, 262_144, 262_145, 3_000_000])
def test_the_body_of_a_copy_is_whole_or_it_is_not_sent(
    scene: Scene, http2: bool, size: int
) -> None:
    path, body = f"/{secrets.token_hex(8)}", secrets.token_bytes(size)
    with Client(scene.envoy.port, http2) as client:
        answer = client.ask(path, host="copied.test", headers=USER, method="POST", body=body)
    received = answer.response.json()["received"]
    assert received["bytes"] == size
    if size > 262_144:
        assert scene.word(path) == "skipped:body"
        assert scene.candidate.copies("v2.internal", path) == []
        return
    copy = one_copy(scene.candidate, "v2.internal", path)
    assert (copy.body_bytes, copy.body_hash) == (size, received["hash"])


NEVER: dict[str, tuple[str | None, dict[str, str]]] = {
    "a shadow": ("skipped:shadow", {"x-serinus-shadow": "1"}),
    "a token": ("skipped:credentials", {"authorization": "Bearer abc"}),
    "a cookie": ("skipped:credentials", {"cookie": "session=1"}),
    "a validator": ("skipped:conditional", {"if-none-match": "*"}),
    "a condition that does not hold": ("skipped:when", {"x-copy": "no"}),
    "to the canary": (None, {"x-employee": "true"}),
    "answered by a rule": (None, {"x-old": "true"}),
}


def test_what_must_not_be_copied_is_not(scene: Scene, http2: bool) -> None:
    asked = []
    with Client(scene.envoy.port, http2) as client:

        def word(headers: dict[str, str], method: str = "GET") -> str | None:
            path = f"/{secrets.token_hex(8)}"
            asked.append(path)
            sent = {**USER, "x-copy": "yes", **headers}
            client.ask(path, host="fenced.test", headers=sent, method=method, explain=False)
            return scene.word(path)

        for name, (expected, headers) in NEVER.items():
            assert word(headers) == expected, name
        assert word({}, "DELETE") == "skipped:method"
        if not http2:
            upgrade = {"connection": "upgrade", "upgrade": "websocket"}
            assert word(upgrade) == "skipped:upgrade"
        assert word({}) in ("pending", "equal")
    one_copy(scene.candidate, "fenced.test", asked[-1])
    copied = {copy.path for copy in scene.candidate.copies("fenced.test")}
    assert copied & set(asked) == set(asked[-1:])


def test_credentials_go_along_where_the_policy_says_so(scene: Scene, http2: bool) -> None:
    path = f"/{secrets.token_hex(8)}"
    with Client(scene.envoy.port, http2) as client:
        headers = {**USER, "authorization": "Bearer abc", "cookie": "session=1"}
        client.ask(path, host="trusting.test", headers=headers)
    copy = one_copy(scene.candidate, "trusting.test", path)
    assert (copy.header("authorization"), copy.header("cookie")) == ("Bearer abc", "session=1")


def test_a_filter_that_observes_copies_nothing(start, scene: Scene) -> None:
    upstreams = Upstreams(scene.stable.port, scene.candidate.port)
    envoy = start(policy(shadowed("observed"), mode="observe"), upstreams)
    with Client(envoy.port, False) as client:
        for _ in range(20):
            assert client.ask(host="observed.test", headers=USER).status == 200
        envoy.apply(policy(shadowed("observed")))
        assert scene.candidate.copies("observed.test") == []
        client.ask("/copied", host="observed.test", headers=USER)
    one_copy(scene.candidate, "observed.test", "/copied")


@pytest.mark.parametrize("name", ENDS)
def test_each_end_of_a_copy_is_told_as_what_it_was(scene: Scene, name: str) -> None:
    end = ENDS[name]
    scene.stable.behave(f"{name}.test", after=end.after)
    scene.candidate.behave(f"{name}.test", end.how, worse=end.worse)
    for http2 in [False, True]:
        status, word = scene.ask(f"{name}.test", http2)
        assert status == 200 and word in as_told(end.word)

    def counts() -> dict[str, float]:
        counted = scene.counts(name)
        # Of an answer that failed there is no body to compare.
        counted.pop("bodies_not_compared", None)
        return counted

    becomes(counts, dict.fromkeys(end.counted, 2.0), f"the counts of {name}", 30)


def test_a_full_circuit_breaker_says_nothing_of_the_version(scene: Scene, http2: bool) -> None:
    status, word = scene.ask("full.test", http2)
    assert status == 200
    # Envoy refuses the call, or answers it itself.
    assert word in ("not-compared:not-sent", "not-compared:blocked", "pending")
    becomes(lambda: DIFFERENT in scene.counts("full"), False, "it is no difference")


def test_the_buffer_limit_of_the_proxy_ends_a_long_answer(start, scene: Scene) -> None:
    def edit(config: Config) -> None:
        limit = {"http.async_response_buffer_limit": 100_000}
        layer = {"name": "limits", "static_layer": limit}
        config["layered_runtime"] = {"layers": [layer]}

    upstreams = Upstreams(scene.stable.port, scene.candidate.port)
    envoy = start(policy(shadowed("limited"), page=PAGE), upstreams, edit)
    limited = Scene(envoy, scene.stable, scene.candidate)
    scene.stable.behave("limited.test", after=LATER)
    for how, expected in [("answer", "equal"), ("ascending", "different")]:
        scene.candidate.behave("limited.test", how)
        status, word = limited.ask("limited.test", False)
        assert status == 200 and word in as_told(expected)
        pair = f"raw_pairs {expected}"
        becomes(lambda pair=pair: limited.counts("limited").get(pair), 1.0, pair)
    assert limited.counts("limited")["calls reset"] == 1


# What the candidate answers, and stable if not its best; and what the comparison says.
BAD: dict[str, tuple[str, str, str]] = {
    "invalid": ("invalid", "answer", "different"),
    "invalid-both": ("invalid", "invalid", "equal"),
    "deep": ("deep", "answer", "different"),
    "deep-both": ("deep", "deep", "equal"),
    "bottomless": ("bottomless", "answer", "different"),
    "bottomless-deep": ("bottomless", "deep", "different"),
    "reversed": ("descending", "ascending", "different"),
    "long-both": ("ascending", "ascending", "equal"),
    "binary": ("binary", "answer", "different"),
    "empty": ("empty", "answer", "different"),
    "gzip": ("gzip", "answer", "equal"),
    "bad-gzip": ("bad-gzip", "answer", "different"),
    "hints": ("hints", "answer", "equal"),
    "many-headers": ("many-headers", "answer", "equal"),
    "too-many-headers": ("too-many-headers", "answer", "different"),
}


@pytest.mark.parametrize("name", BAD)
def test_whatever_the_candidate_answers_is_compared(scene: Scene, http2: bool, name: str) -> None:
    candidate, stable, expected = BAD[name]
    host, pair = f"{name}.bad.test", f"raw_pairs {expected}"
    scene.stable.behave(host, stable)
    scene.candidate.behave(host, candidate)
    before = scene.counts("bad")
    status, _ = scene.ask(host, http2)
    assert status == 200
    becomes(lambda: scene.counts("bad").get(pair, 0), before.get(pair, 0) + 1, pair)
    pairs = [name for name in scene.counts("bad") if name.startswith(("raw_pairs", "not_compared"))]
    others = {name: before.get(name, 0) for name in pairs if name != pair}
    assert {name: scene.counts("bad")[name] for name in others} == others


def test_bad_answers_leave_the_state_document_sound(scene: Scene) -> None:
    for name in ["bottomless", "reversed", "binary"]:
        scene.stable.behave(f"{name}.bad.test", BAD[name][1])
        scene.candidate.behave(f"{name}.bad.test", BAD[name][0])
        scene.ask(f"{name}.bad.test", False)
    paths = eventually(lambda: scene.shadow("bad")["compared"]["paths"], "paths that differ")
    # A hundred thousand levels or elements make one path, and none has a value of an answer in it.
    assert len(paths) < len(BAD)
    assert all(len(path["path"]) < 300 and "99999" not in path["path"] for path in paths)


def test_of_a_long_answer_status_and_headers_are_compared(scene: Scene, http2: bool) -> None:
    scene.stable.behave("short.test", after=LATER)
    before = scene.counts("short").get("bodies_not_compared", 0)
    status, word = scene.ask("short.test", http2)
    assert status == 200 and word in as_told("equal")
    becomes(
        lambda: scene.counts("short").get("bodies_not_compared", 0), before + 1, "it is counted"
    )


def test_trailers_of_grpc_are_compared(scene: Scene) -> None:
    with Client(scene.envoy.port, True) as client:
        for worse in ["", "status"]:
            scene.candidate.behave("grpc.test", worse=worse)
            headers = {**USER, "content-type": "application/grpc", "te": "trailers"}
            client.ask("/shop.Checkout/Pay", host="grpc.test", headers=headers, explain=False)
    becomes(
        lambda: scene.counts("grpc"),
        {"calls answered": 2.0, "raw_pairs equal": 1.0, DIFFERENT: 1.0},
        "both are compared",
    )
    (path,) = scene.shadow("grpc")["compared"]["paths"]
    assert (path["path"], path["kind"]) == ("trailer:grpc-status", "trailer")


def test_an_answer_that_comes_after_the_callers_is_compared(scene: Scene, http2: bool) -> None:
    def compared() -> float:
        return scene.counts("late").get("raw_pairs equal", 0)

    scene.candidate.behave("late.test", after=0.5)
    before = compared()
    assert scene.ask("late.test", http2) == (200, "pending")
    eventually(lambda: compared() == before + 1, "it is compared")


def resident(envoy: EcdsEnvoy) -> float:
    """MiB of memory that a proxy has taken up."""
    return envoy.resident_bytes / MIB


def active(envoy: EcdsEnvoy) -> int:
    """Requests that the proxy has under way to the candidate."""
    return envoy.stat(r"cluster\.shop-v2\.upstream_rq_active")


def test_nobody_notices_a_shadow_that_hangs(scene: Scene) -> None:
    """At full sampling, for five seconds: then it is left alone, and asked again once well."""
    envoy, most = scene.envoy, WORKERS * HUNG["maxInFlight"]
    scene.candidate.behave("hung.test", "hang")
    with Traffic(envoy.port, "hung.test", 300, connections=30) as traffic:
        eventually(lambda: active(envoy) == most, "the budget is full")
        time.sleep(0.5)
        began, memory, seen = len(traffic.seen), resident(envoy), []
        until = time.monotonic() + 4
        while time.monotonic() < until:
            seen.append(active(envoy))
        grown = resident(envoy) - memory
        answered = len(traffic.seen) - began
        print(f"{answered} answers in 4 s, {max(seen)} calls under way; {grown:.1f} MiB more")
        # None of the copies was answered, so none of these waited for one.
        assert max(seen) <= most and answered > 10 * most
        assert {one.status for one in traffic.seen} == {200}
        assert grown < 4
        eventually(lambda: scene.counts("hung").get("skipped back-off"), "it is left alone", 20)
        scene.candidate.behave("hung.test")
        healed = time.monotonic()
        eventually(
            lambda: scene.counts("hung").get("raw_pairs equal", 0) > 100, "it is asked again", 30
        )
        print(f"asked again {time.monotonic() - healed:.1f} s after it was well")
    assert {one.status for one in traffic.seen} == {200}
    counts = scene.counts("hung")
    assert counts["skipped in-flight"] > 100 and counts["calls failed"] >= 5


def test_a_change_of_the_policy_hurts_no_copy_under_way(scene: Scene) -> None:
    envoy = scene.envoy
    scene.candidate.behave("changing.test", after=0.5)
    with Traffic(envoy.port, "changing.test", 200, connections=20) as traffic:
        eventually(lambda: active(envoy) > 0, "copies are under way")
        for share in ["50%", "100%", "50%", "100%"]:
            changed = [
                {**one, "shadow": {**one["shadow"], "share": share}}
                if one["name"] == "changing"
                else one
                for one in POLICY["routes"]
            ]
            envoy.apply({**POLICY, "routes": changed})
            time.sleep(0.3)
        scene.candidate.behave("changing.test")
        before = scene.counts("changing").get("raw_pairs equal", 0)
        eventually(
            lambda: scene.counts("changing").get("raw_pairs equal", 0) > before + 100,
            "copies are compared under the last policy",
            20,
        )
    assert {one.status for one in traffic.seen} == {200}
    assert DIFFERENT not in scene.counts("changing")
    envoy.check_unhurt()


def watch(scene: Scene, took: dict[str, float], verdicts: list[str]) -> Callable[[], bool]:
    """Asks for all verdicts: when which route failed, and what noise alone came to so far."""
    began = time.monotonic()

    def all_failed() -> bool:
        document = State(scene.envoy)
        for name in [*REGRESSIONS, "gated"]:
            if document.route(name)["shadow"]["compared"]["verdict"] == "fail":
                took.setdefault(name, time.monotonic() - began)
        verdicts.append(document.route("noisy")["shadow"]["compared"]["verdict"])
        time.sleep(0.1)
        return len(took) == len(REGRESSIONS) + 1

    return all_failed


def test_a_regression_fails_its_route_and_noise_does_not(scene: Scene) -> None:
    """Within a minute, at a hundred requests a second; and a failed route shuts its gate."""
    hosts = [f"{name}.test" for name in [*REGRESSIONS, "noisy", "gated"]]
    for name, (worse, part, _) in REGRESSIONS.items():
        scene.candidate.behave(f"{name}.test", worse=worse, part=part, noise=True)
    scene.candidate.behave("gated.test", worse="value", noise=True)
    scene.candidate.behave("noisy.test", noise=True)
    for host in hosts:
        scene.stable.behave(host, noise=True)
    took: dict[str, float] = {}
    verdicts: list[str] = []
    with ExitStack() as stack:
        for host in hosts:
            stack.enter_context(Traffic(scene.envoy.port, host, RATE, connections=10))
        began = time.monotonic()
        eventually(watch(scene, took, verdicts), "all failed", 60)
        eventually(lambda: gate(scene)["state"] == "shut", "the gate is shut")
        # Noise alone is looked at for as long as most regressions took, and until it passes.
        eventually(lambda: passes(scene, verdicts), "noise passes", 60)
        noise = time.monotonic() - began
    print({name: f"{seconds:.1f} s" for name, seconds in took.items()}, f"noise: {noise:.0f} s")
    assert "fail" not in verdicts
    for name, (_, _, expected) in REGRESSIONS.items():
        paths = scene.shadow(name)["compared"]["paths"]
        worse = {(path["path"], path["kind"]) for path in paths if path["worse"]}
        assert worse == expected, name
    # A part of the copies went to stable, by its own name.
    assert scene.stable.copies("noisy.test") and scene.candidate.copies("noisy.test")
    noisy = scene.shadow("noisy")["compared"]
    assert not any(path["worse"] for path in noisy["paths"])
    history = gate(scene)["history"][0]
    assert (history["signal"], gate(scene)["verdict"]) == ("diffs", "fail")
    metrics = scene.envoy.metrics()
    assert metrics['serinus_shadow_verdict{route="wrong-value",state="fail"}'] == 1
    assert metrics['serinus_shadow_verdict{route="noisy",state="fail"}'] == 0
    assert metrics['serinus_gate_open{route="gated",variant="canary"}'] == 0


def gate(scene: Scene) -> Json:
    return State(scene.envoy).route("gated")["variants"][1]["gate"]


def passes(scene: Scene, verdicts: list[str]) -> bool:
    verdicts.append(scene.shadow("noisy")["compared"]["verdict"])
    return verdicts[-1] == "pass"
