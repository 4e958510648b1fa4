"""Rescue: what fails on the canary is answered by stable within the same request.

A bad canary costs its callers time and no errors, and counts as bad all the same. Each scene has a
route and a host of its own. The canary's path is rewritten to what it shall do wrong, so that
stable is asked for something else: for the caller's own path.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from serinus_e2e import raw, recipes
from serinus_e2e.broken import bytes_of
from serinus_e2e.causes import NO_CONNECTIONS, Cause, cluster
from serinus_e2e.client import Answer, Client
from serinus_e2e.config import Config, Upstreams, connection_manager
from serinus_e2e.envoy import EcdsEnvoy, becomes, eventually
from serinus_e2e.policies import Json, policy, route
from serinus_e2e.shop import Shop
from serinus_e2e.traffic import Traffic

USER = {"x-user-id": "anna"}
MANY_BYTES = 5_000_000
# What the canary says of itself where its own answer goes on.
SAID = "said"


@dataclass(frozen=True)
class Scene:
    """What the canary does, and what stable; the clusters by the names below."""

    canary: str = "/status/503"
    outcome: str = "error_status"
    upstream: str = "broken"
    path: str = "/ask"
    stable: str = "shop-v1"
    word: str = "answered"
    # Of Envoy's route.
    timeout: str = "10s"
    rescue: Json = field(default_factory=dict)


FAILURES = {
    "status": Scene(),
    "empty": Scene("/empty/500"),
    "dripping": Scene("/drip/500"),
    "large": Scene(f"/bytes/500/{MANY_BYTES}"),
    "refused": Scene("/", "error_connect", "refusing"),
    "reset": Scene("/reset-before", "error_reset_before"),
    "reset-http2": Scene("/reset-before", "error_reset_before", "broken-http2"),
    "hostless": Scene("/", "error_no_host", "hostless"),
    "overload": Scene("/", "error_overload", "full"),
    "hanging": Scene("/hang", "error_timeout", rescue={"deadline": "200ms"}),
    "named": Scene("/status/404", "ok", rescue={"failures": ["404"]}),
}
# Stable fails too, in each of these ways.
IN_VAIN = {
    "fails-too": Scene(path="/status/500", stable="broken", word="failed"),
    "resets-too": Scene(path="/reset-before", stable="broken", word="failed"),
    "cut-off": Scene(path="/reset-after", stable="broken", word="failed"),
    "hangs-too": Scene(path="/hang", stable="broken", word="failed", rescue={"timeout": "300ms"}),
    "refuses-too": Scene(stable="refusing", word="failed"),
    "unknown-stable": Scene(stable="unknown", word="not-sent"),
    "hostless-stable": Scene(stable="hostless", word="not-sent"),
}
BYTES = Scene(path=f"/bytes/200/{MANY_BYTES}", stable="broken")
OTHERS = {
    "bytes": BYTES,
    "not-found": Scene(path="/status/404", stable="broken"),
    "no-content": Scene(path="/status/204", stable="broken"),
    "not-modified": Scene(path="/status/304", stable="broken"),
    "few": Scene(rescue={"maxPerSecond": 1}),
    "slow-stable": Scene(path="/after/100", stable="broken"),
    "slower-stable": Scene(path="/after/700", stable="broken"),
    # A failure that has not come to its end when Envoy's time-out does; a whole one waits without.
    "drip-late": Scene("/drip/500", path="/after/700", stable="broken", timeout="0.3s"),
    "small-late": Scene(path="/after/700", stable="broken", timeout="0.3s"),
    "full-stable": Scene(stable="full"),
    "writes": Scene(rescue={"methods": ["GET", "POST"]}),
    "unhurt": Scene("/after/600", "ok", "broken", rescue={"deadline": "20s", "timeout": "1s"}),
    "late-body": Scene("/drip/200", "ok", rescue={"deadline": "200ms"}),
    "only-resets": Scene(rescue={"failures": ["reset"]}),
}
SCENES = FAILURES | IN_VAIN | OTHERS
GATED = route(
    "gated",
    share="20%",
    gate={"warmup": "1s"},
    variant={"rewritePath": {"prefix": "/", "with": "/status/503"}},
    rescue={"cluster": "shop-v1", "maxPerSecond": 1000},
)


def rescued(name: str, scene: Scene) -> Json:
    rewrite = {"prefix": scene.path, "with": scene.canary}
    rescue = {"cluster": scene.stable, "maxPerSecond": 1000, **scene.rescue}
    return route(name, share="100%", variant={"rewritePath": rewrite}, rescue=rescue)


POLICY = policy(*(rescued(name, scene) for name, scene in SCENES.items()), GATED)


def add_scenes(config: Config, ports: dict[str, int]) -> None:
    """A virtual host for each scene, whose requests all go to its canary."""
    upstreams = {
        "broken": Cause("", lambda *_: None, "", upstream="http1"),
        "broken-http2": Cause("", lambda *_: None, "", upstream="http2"),
        "refusing": Cause("", lambda *_: None, "", upstream="refusing"),
        "hostless": Cause("", lambda *_: None, "", upstream="none"),
        "full": Cause("", lambda *_: None, "", cluster=NO_CONNECTIONS),
    }
    clusters = config["static_resources"]["clusters"]
    clusters += [cluster(name, cause, ports) for name, cause in upstreams.items()]
    canary = [{"name": "x-serinus-variant", "present_match": True}]
    routes = connection_manager(config)["route_config"]["virtual_hosts"]
    for name, scene in [*SCENES.items(), ("gated", Scene())]:
        to = {"cluster": scene.upstream, "timeout": scene.timeout}
        routes.append(
            {
                "name": name,
                "domains": [f"{name}.test"],
                "routes": [
                    {"match": {"prefix": "/", "headers": canary}, "route": to},
                    {"match": {"prefix": "/"}, "route": {"cluster": "shop-v1"}},
                ],
            }
        )


def add_answer_headers(config: Config) -> None:
    """A filter in front of Serinus, and Envoy's routes, each add a header to answers."""
    manager = connection_manager(config)
    change = {"append": {"header": {"key": "x-front", "value": "1"}}}
    kind = "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation"
    front = {"@type": kind, "mutations": {"response_mutations": [change]}}
    manager["http_filters"].insert(0, {"name": "front", "typed_config": front})
    added = {"header": {"key": "x-route", "value": "1"}}
    manager["route_config"]["response_headers_to_add"] = [added]


@pytest.fixture(scope="module")
def proxy(
    envoy_version: str,
    upstreams: Upstreams,
    broken: dict[str, int],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[EcdsEnvoy]:
    def edit(config: Config) -> None:
        add_scenes(config, broken)
        add_answer_headers(config)
        # The example has Envoy hold 1 MiB of an answer; its own limit is 32.
        del config["layered_runtime"]

    folder = tmp_path_factory.mktemp("rescue")
    with EcdsEnvoy(envoy_version, folder, upstreams, POLICY, edit) as envoy:
        yield envoy
        envoy.check_unhurt()


def test_the_page_shows_what_happens(start, upstreams: Upstreams) -> None:
    (recipe,) = recipes.policies("rescue")
    with Shop.start("v2") as canary:
        canary.fail()
        envoy = start(recipe, Upstreams(upstreams.v1, canary.port))
        with Client(envoy.port, False) as client:
            recipes.follow("rescue", 3, client)


def ask(client: Client, name: str, **others: Any) -> Answer:
    headers = USER | others.pop("headers", {})
    return client.ask(SCENES[name].path, host=f"{name}.test", headers=headers, **others)


def rescues(envoy: EcdsEnvoy, name: str) -> dict[str, float]:
    return envoy.counts("serinus_rescues_total", "outcome", route=name, variant="canary")


def outcomes(envoy: EcdsEnvoy, name: str) -> dict[str, float]:
    return envoy.counts("serinus_requests_total", "outcome", route=name)


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_is_answered_by_stable_and_counts_as_the_canarys(
    proxy: EcdsEnvoy, client: Client, name: str
) -> None:
    proxy.settle()
    counted = [rescues(proxy, name), outcomes(proxy, name)]
    answer = ask(client, name, headers={"cookie": "s=1", "authorization": "Bearer x"})
    assert (answer.status, answer.version, answer.path) == (200, "v1", SCENES[name].path)
    assert answer.received("cookie") == ["s=1"]
    assert answer.received("authorization") == ["Bearer x"]
    assert answer.received("host") == [f"{name}.test"]
    assert not {one for one in answer.received_names if one.startswith("x-serinus-")}
    assert answer.response.headers.get_list("content-type") == ["application/json; charset=utf-8"]
    assert answer.response.headers["x-shop-version"] == "v1"
    assert answer.reason["variant"], answer.reason["rescue"] == ("canary", "answered")

    def more(before: dict[str, float], now: dict[str, float]) -> dict[str, float]:
        return {key: now[key] - before.get(key, 0) for key in now if now[key] != before.get(key)}

    becomes(lambda: more(counted[0], rescues(proxy, name)), {"answered": 1}, "rescues")
    wanted = {SCENES[name].outcome: 1}
    becomes(lambda: more(counted[1], outcomes(proxy, name)), wanted, "outcomes")


@pytest.mark.parametrize("name", FAILURES)
def test_a_head_is_rescued_with_the_headers_of_the_body_that_it_does_not_get(
    client: Client, name: str
) -> None:
    whole = ask(client, name, explain=False)
    head = ask(client, name, method="HEAD", explain=False)
    assert (head.status, head.response.content) == (200, b"")
    assert head.response.headers["x-shop-version"] == "v1"
    kinds = ["content-type"]
    assert [head.response.headers[kind] for kind in kinds] == [
        whole.response.headers[kind] for kind in kinds
    ]
    assert int(head.response.headers["content-length"]) > 100
    # The connection is as good as before.
    assert ask(client, name).version == "v1"


def test_five_megabytes_arrive_as_they_are_and_so_do_two_cookies(client: Client) -> None:
    answer = ask(client, "bytes")
    assert answer.status == 200
    assert answer.response.content == bytes_of(MANY_BYTES)
    assert answer.set_cookies == ["a=b", "c=d"]
    assert answer.response.headers["content-type"] == "text/x-bytes"
    assert answer.response.headers["content-length"] == str(MANY_BYTES)
    head = ask(client, "bytes", method="HEAD")
    assert head.response.headers["content-length"] == str(MANY_BYTES)
    assert (head.response.content, head.set_cookies) == (b"", ["a=b", "c=d"])


def test_an_answer_longer_than_what_envoy_holds_is_none(
    start, upstreams: Upstreams, broken: dict[str, int], http2: bool
) -> None:
    envoy = start(POLICY, upstreams, lambda config: add_scenes(config, broken))
    with Client(envoy.port, http2) as client:
        answer = ask(client, "bytes")
        assert (answer.status, answer.response.text) == (503, SAID)
        assert ask(client, "status").version == "v1"
    becomes(lambda: rescues(envoy, "bytes"), {"failed": 1}, "rescues")


@pytest.mark.parametrize(
    ("name", "method", "added"),
    [
        ("status", "GET", {"x-route"}),
        ("status", "HEAD", {"x-front"}),
        ("fails-too", "GET", {"x-route", "x-front"}),
        ("fails-too", "HEAD", {"x-route", "x-front"}),
    ],
)
def test_stables_answer_passes_no_filter_in_front_but_for_head(
    client: Client, name: str, method: str, added: set[str]
) -> None:
    headers = ask(client, name, method=method).response.headers
    assert {"x-route", "x-front"} & set(headers) == added


@pytest.mark.parametrize(
    ("name", "status"), [("not-found", 404), ("no-content", 204), ("not-modified", 304)]
)
def test_whatever_stable_answers_is_an_answer(client: Client, name: str, status: int) -> None:
    for method in ["GET", "HEAD"]:
        answer = ask(client, name, method=method)
        body = SAID if (method, status) == ("GET", 404) else ""
        assert (answer.status, answer.response.text) == (status, body)


@pytest.mark.parametrize("name", IN_VAIN)
def test_where_stable_fails_too_the_canarys_own_answer_goes_on(
    proxy: EcdsEnvoy, client: Client, name: str
) -> None:
    proxy.settle()
    before = rescues(proxy, name)
    # An answer to HEAD has no body that could break off.
    methods = ["GET"] if name == "cut-off" else ["GET", "HEAD"]
    for method in methods:
        answer = ask(client, name, method=method)
        body = SAID if method == "GET" else ""
        assert (answer.status, answer.response.text) == (503, body)
        assert answer.response.headers["content-length"] == str(len(SAID))
        assert "rescue" not in answer.reason
    word = SCENES[name].word
    wanted = {word: before.get(word, 0) + len(methods)}
    becomes(lambda: rescues(proxy, name), wanted, "rescues")


def test_a_breaker_of_stables_that_is_open_fails_the_rescue_and_no_more(
    proxy: EcdsEnvoy, client: Client
) -> None:
    answer = ask(client, "full-stable")
    assert (answer.status, answer.response.text) == (503, SAID)
    counted = eventually(lambda: rescues(proxy, "full-stable"), "rescues")
    assert counted.keys() <= {"failed", "not-sent"}


def test_the_access_log_tells_the_rescue(proxy: EcdsEnvoy, client: Client) -> None:
    for name in ["status", "fails-too"]:
        mark = secrets.token_hex(8)
        scene = SCENES[name]
        answer = client.ask(
            f"{scene.path}?{mark}", host=f"{name}.test", headers=USER, explain=False
        )
        line = proxy.logged(mark)
        assert f" outcome={scene.outcome} rescue={scene.word}" in line
        assert f" {answer.status} " in line


def test_a_request_with_a_body_gets_the_canarys_own_answer(
    proxy: EcdsEnvoy, client: Client
) -> None:
    answer = ask(client, "writes", method="POST", body=b"item=7")
    assert (answer.status, answer.response.text) == (503, SAID)
    eventually(lambda: rescues(proxy, "writes").get("body"), "it is told")
    empty = ask(client, "writes", method="POST")
    assert (empty.status, empty.version) == (200, "v1")
    assert ask(client, "status", method="POST").status == 503, "a method that is not named"


def test_what_is_no_failure_by_the_policy_goes_on(proxy: EcdsEnvoy, client: Client) -> None:
    assert ask(client, "only-resets").status == 503
    proxy.settle()
    assert rescues(proxy, "only-resets") == {}


def test_a_deadline_is_for_the_beginning_of_an_answer(proxy: EcdsEnvoy, client: Client) -> None:
    """An answer that has begun in time may take as long as it takes, as without a rescue; and a
    deadline beyond the time-out of Envoy's route makes that no longer."""
    answer = ask(client, "late-body")
    assert (answer.status, answer.response.text) == (200, ".....")
    answer = ask(client, "unhurt")
    assert (answer.status, answer.response.text) == (200, SAID)


def test_no_more_a_second_are_rescued_than_the_policy_allows(
    proxy: EcdsEnvoy, client: Client
) -> None:
    proxy.settle()
    before = rescues(proxy, "few")
    statuses: list[int] = []

    def is_rescued() -> bool:
        statuses.append(ask(client, "few").status)
        return statuses[-1] == 200

    eventually(is_rescued, "the first of a second")
    began = time.monotonic()
    more = [is_rescued() for _ in range(40)]
    most = 1 + (time.monotonic() - began)
    assert sum(more) <= most
    eventually(is_rescued, "the first of another second")
    assert set(statuses) == {200, 503}

    def told() -> dict[str, float]:
        return {word: count - before.get(word, 0) for word, count in rescues(proxy, "few").items()}

    wanted = {"answered": statuses.count(200), "limited": statuses.count(503)}
    becomes(told, wanted, "all are told")


def test_a_rescue_beyond_the_time_out_of_envoys_route_may_come_too_late(
    proxy: EcdsEnvoy, client: Client
) -> None:
    proxy.settle()
    before = rescues(proxy, "drip-late").get("left", 0)
    assert ask(client, "drip-late").status == 504
    becomes(lambda: rescues(proxy, "drip-late"), {"left": before + 1}, "it is told")
    becomes(lambda: outcomes(proxy, "drip-late").keys(), {"error_status"}, "outcomes")
    answer = ask(client, "small-late")
    assert (answer.status, answer.response.text) == (200, SAID)


def test_callers_that_leave_at_any_time_take_their_rescue_along(
    proxy: EcdsEnvoy, client: Client, http2: bool
) -> None:
    proxy.settle()
    before = rescues(proxy, "slow-stable").get("left", 0)
    headers = [(b"host", b"slow-stable.test"), (b"x-user-id", b"anna")]
    path = SCENES["slow-stable"].path.encode()

    def leave(after: float) -> None:
        raw.leave(proxy.port, http2, path, headers, after)

    waits = [0, 0.001, 0.002, 0.005, 0.01, 0.03, 0.06, 0.09, 0.1, 0.105, 0.11, 0.15] * 4
    leaving = [threading.Thread(target=leave, args=(wait,)) for wait in waits]
    for thread in leaving:
        thread.start()
    for thread in leaving:
        thread.join()
    eventually(lambda: rescues(proxy, "slow-stable").get("left", 0) > before, "some had left")
    assert ask(client, "slow-stable").response.text == SAID
    proxy.check_unhurt()


def test_a_policy_that_changes_meanwhile_leaves_a_rescue_to_its_end(
    proxy: EcdsEnvoy, http2: bool
) -> None:
    answers: list[Answer] = []

    def wait() -> None:
        with Client(proxy.port, http2) as client:
            answers.append(ask(client, "slower-stable"))

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(0.3)
    proxy.apply({**POLICY, "report": {"accessLog": True, "bytes": True}})
    waiting.join()
    proxy.apply(POLICY)
    assert [(one.status, one.response.text) for one in answers] == [(200, SAID)]


def test_many_at_once_all_get_stables_answer(proxy: EcdsEnvoy) -> None:
    with Traffic(proxy.port, "status.test", rate=200, path="/ask") as traffic:
        eventually(lambda: len(traffic.seen) > 400, "400 answers", 60)
    assert {(one.status, one.version) for one in traffic.seen} == {(200, "v1")}


def test_a_filter_that_observes_rescues_nobody(
    start, upstreams: Upstreams, broken: dict[str, int], http2: bool
) -> None:
    def edit(config: Config) -> None:
        add_scenes(config, broken)
        # Whoever it would send to the canary goes there anyway.
        for host in connection_manager(config)["route_config"]["virtual_hosts"]:
            host["routes"] = host["routes"][:1]
            host["routes"][0]["match"] = {"prefix": "/"}

    envoy = start({**POLICY, "mode": "observe"}, upstreams, edit)
    with Client(envoy.port, http2) as client:
        answer = client.ask("/status/503", host="status.test", headers=USER)
        assert (answer.status, answer.response.text) == (503, SAID)
    envoy.settle()
    assert rescues(envoy, "status") == {}


def test_the_gate_shuts_on_failures_that_no_caller_saw(proxy: EcdsEnvoy) -> None:
    def is_shut() -> bool:
        states = proxy.counts("serinus_gate_state", "state", route="gated", variant="canary")
        return states == {"shut": 1}

    with Traffic(proxy.port, "gated.test", rate=200) as traffic:
        eventually(is_shut, "the gate shuts", 60)
    assert {(one.status, one.version) for one in traffic.seen} == {(200, "v1")}

    def counted() -> bool:
        labels = {"route": "gated", "variant": "canary"}
        outcomes = proxy.counts("serinus_requests_total", "outcome", **labels)
        assert outcomes.keys() == {"error_status"}
        return rescues(proxy, "gated") == {"answered": outcomes["error_status"]}

    eventually(counted, "all failures were rescued")
