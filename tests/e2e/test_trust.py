"""What callers may say, what hops tell each other, and the modes that change nothing."""

from __future__ import annotations

import json
from pathlib import Path

from serinus_e2e import oracle
from serinus_e2e.client import Client
from serinus_e2e.config import Config, Upstreams, connection_manager, policy_value, render
from serinus_e2e.envoy import eventually
from serinus_e2e.policies import policy, route, rule

STAFF = [rule("staff", {"header": "x-employee", "exact": "true"})]
AS_STAFF = {"x-employee": "true"}
FORGED = {
    "x-serinus-variant": "canary",
    "X-Serinus-Route": "edge",
    "x-serinus-reason": "because",
    "x-serinus-anything": "1",
}

EDGE = policy(
    route("edge", share="50%", rules=STAFF),
    report={"accessLog": True, "baggage": True},
)
POLICY = EDGE


def own(answer) -> set[str]:
    return {name for name in answer.received_names if name.startswith("x-serinus-")}


def test_callers_cannot_name_a_variant(client: Client) -> None:
    for host in ["edge.test", "no-route.test"]:
        forged = [*FORGED.items(), ("x-serinus-variant", "canary")]
        answer = client.ask(host=host, headers=forged)
        assert answer.version == "v1"
        assert own(answer) == set()


def test_forged_headers_do_not_survive_beside_a_decision(client: Client) -> None:
    answer = client.ask(host="edge.test", headers=AS_STAFF | {"x-serinus-anything": "1"})
    assert answer.version == "v2"
    assert own(answer) == {"x-serinus-variant", "x-serinus-route"}


def test_the_baggage_member_of_a_caller_is_removed(client: Client) -> None:
    forged = {"baggage": "tenant=acme;p=1,serinus=edge:canary,user=anna"}
    answer = client.ask(host="no-route.test", headers=forged)
    assert answer.version == "v1"
    assert answer.received("baggage") == ["tenant=acme;p=1,user=anna"]
    alone = client.ask(host="no-route.test", headers={"baggage": "serinus=edge:canary"})
    assert alone.received("baggage") == []


def test_baggage_is_merged_and_not_overwritten(client: Client) -> None:
    carried = AS_STAFF | {"baggage": "tenant=acme,serinus=edge:forged"}
    answer = client.ask(host="edge.test", headers=carried)
    assert answer.received("baggage") == ["tenant=acme,serinus=edge:canary"]
    bare = client.ask(host="edge.test", headers=AS_STAFF)
    assert bare.received("baggage") == ["serinus=edge:canary"]


def test_with_no_policy_in_force_callers_still_cannot_name_a_variant(
    start, upstreams: Upstreams, http2: bool
) -> None:
    with Client(start("not JSON", upstreams).port, http2) as client:
        answer = client.ask(headers=FORGED | {"baggage": "serinus=edge:canary"})
        assert (answer.version, own(answer)) == ("v1", set())
        assert answer.received("baggage") == []


def to_inner_host(config: Config) -> None:
    """Requests that the edge sends on ask for the inner service's host."""
    chain = config["static_resources"]["listeners"][0]["filter_chains"][0]
    routes = chain["filters"][0]["typed_config"]["route_config"]["virtual_hosts"][0]["routes"]
    for entry in routes:
        entry["route"]["host_rewrite_literal"] = "inner.test"


def test_a_second_hop_follows_the_first(start, upstreams: Upstreams, http2: bool) -> None:
    """Edge and mesh: the inner proxy takes the edge's side, whatever its own share says."""
    inner_policy = policy(
        route("inner", share="100%", follow="edge"), trust="mesh", report={"baggage": True}
    )
    inner = start(inner_policy, upstreams)
    edge = start(EDGE, Upstreams(v1=inner.port, v2=inner.port), to_inner_host)
    with Client(edge.port, http2) as client:
        canary = client.ask(host="edge.test", headers=AS_STAFF | {"x-user-id": "anna"})
        assert (canary.version, canary.reason["reason"]) == ("v2", "rule")
        assert canary.received("baggage") == ["serinus=edge:canary.inner:canary"]
        key = oracle.keys_in("edge", 500_000, 1_000_000, 1)[0]
        stable = client.ask(host="edge.test", headers={"x-user-id": key})
        assert stable.version == "v1"
        assert stable.received("x-serinus-variant") == []
        forged = {"x-user-id": key, "baggage": "serinus=edge:canary.inner:canary"}
        assert client.ask(host="edge.test", headers=forged | FORGED).version == "v1"


def test_an_application_hands_the_decision_on(start, upstreams: Upstreams, http2: bool) -> None:
    """What a shop received as baggage decides on the request that the shop makes in turn."""
    edge = start(EDGE, upstreams)
    inner = start(policy(route("inner", follow="edge"), trust="mesh"), upstreams)
    with Client(edge.port, http2) as outer, Client(inner.port, http2) as onward:
        received = outer.ask(host="edge.test", headers=AS_STAFF).received("baggage")
        answer = onward.ask(host="inner.test", headers={"baggage": received[0]})
        assert (answer.version, answer.reason["reason"]) == ("v2", "carried")
        without = onward.ask(host="inner.test")
        assert (without.version, without.reason["reason"]) == ("v1", "no-key")
        unknown = onward.ask(host="inner.test", headers={"baggage": "serinus=edge:other"})
        assert (unknown.version, unknown.reason["reason"]) == ("v1", "no-key")


def test_a_second_filter_leaves_alone_what_the_first_decided(
    start, upstreams: Upstreams, tmp_path: Path, http2: bool
) -> None:
    """The second would send everybody to the canary."""

    def second_filter(config: Config) -> None:
        wasm = render("header-routes.yaml", tmp_path, upstreams)
        second = connection_manager(wasm)["http_filters"][0]
        everybody = policy(route("edge", share="100%"), name="second")
        policy_value(second["typed_config"])["value"] = json.dumps(everybody)
        second["name"] = second["typed_config"]["config"]["name"] = "second"
        connection_manager(config)["http_filters"].insert(1, second)

    envoy = start(EDGE, upstreams, second_filter)
    with Client(envoy.port, http2) as client:
        for low, version, variant in [(0, "v2", "canary"), (500_000, "v1", "stable")]:
            user = {"x-user-id": oracle.keys_in("edge", low, low + 500_000, 1)[0]}
            answer = client.ask(host="edge.test", headers=user)
            assert answer.version == version
            assert answer.received("baggage") == [f"serinus=edge:{variant}"]


ALL_EFFECTS = policy(
    route(
        "edge",
        share="100%",
        key=[{"header": "x-user-id"}, {"issueCookie": "serinus"}],
        variant={
            "setHeaders": {"x-set": "1"},
            "rewritePath": {"prefix": "/get_widgets", "with": "/v2/widgets"},
        },
        rules=[rule("old", {"header": "x-old", "present": True}, {"respond": {"status": 426}})],
    ),
    report={"accessLog": True, "baggage": True},
)


def test_observing_counts_and_changes_nothing(start, upstreams: Upstreams, http2: bool) -> None:
    envoy = start(ALL_EFFECTS | {"mode": "observe"}, upstreams)
    with Client(envoy.port, http2) as client:
        for headers in [{"x-user-id": "anna"}, {}, {"x-old": "1"}]:
            answer = client.ask(
                "/get_widgets?x=1", host="edge.test", headers=headers, explain=False
            )
            assert (answer.version, answer.path) == ("v1", "/get_widgets?x=1")
            assert own(answer) == set()
            assert answer.received("x-set") == answer.received("baggage") == []
            assert answer.set_cookies == []
        named = client.ask(host="edge.test", headers={"x-user-id": "anna"})
        assert (named.version, named.reason["variant"]) == ("v1", "canary")
    # With the issued cookie that is not issued: the two of anna and the one without a name.
    wanted = {"route": "edge", "variant": "canary", "reason": "share"}
    eventually(lambda: envoy.decisions(**wanted) == 3, "three decisions for the canary are counted")


def test_the_kill_switch_does_nothing(start, upstreams: Upstreams, http2: bool) -> None:
    envoy = start(ALL_EFFECTS, upstreams)
    with Client(envoy.port, http2) as client:
        assert client.ask(host="edge.test").version == "v2"
        envoy.apply(ALL_EFFECTS | {"mode": "bypass"})
        for headers in [{"x-user-id": "anna"}, {}, {"x-old": "1"}, FORGED]:
            answer = client.ask("/get_widgets?x=1", host="edge.test", headers=headers)
            assert (answer.version, answer.path) == ("v1", "/get_widgets?x=1")
            assert answer.received("x-serinus-variant") == []
            assert answer.reason == {}
            assert answer.set_cookies == []
        envoy.apply(ALL_EFFECTS)
        assert client.ask(host="edge.test").version == "v2"
