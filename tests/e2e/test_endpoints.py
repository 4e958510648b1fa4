"""The filter's own endpoints: what they tell, and to whom alone."""

from __future__ import annotations

import json

import pytest

from serinus_e2e import paths
from serinus_e2e.client import Client
from serinus_e2e.config import Config, Upstreams
from serinus_e2e.envoy import EcdsEnvoy, becomes
from serinus_e2e.policies import policy, route
from serinus_e2e.state import PAGE, State, ask, every_worker_says, get

POLICY = policy(route("shop", share="50%"), page=PAGE)
ENDPOINTS = ["/serinus/healthz", "/serinus/version", "/serinus/state.json"]
# So many times in a row, so that both workers are asked.
OFTEN = 12


@pytest.mark.parametrize("path", ENDPOINTS)
def test_get_and_head_are_answered_by_the_filter(client: Client, path: str) -> None:
    for _ in range(OFTEN):
        told = ask(client, path, explain=False)
        assert (told.status, told.response.headers.get("x-shop-version")) == (200, None)
        assert told.response.content
        asked = ask(client, path, method="HEAD", explain=False)
        assert (asked.status, asked.response.content) == (200, b"")
        assert "x-shop-version" not in asked.response.headers


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_other_methods_go_upstream(client: Client, path: str, method: str) -> None:
    answer = ask(client, path, method=method)
    assert (answer.version, answer.path) == ("v1", path)


@pytest.mark.parametrize("path", ENDPOINTS)
def test_other_hosts_go_upstream(client: Client, path: str) -> None:
    for host in ["shop.test", "other.test", "x.serinus.internal", "serinus.internal.test"]:
        assert client.ask(path, host=host).path == path, host


@pytest.mark.parametrize("path", ENDPOINTS)
def test_other_callers_go_upstream(stranger: Client, path: str) -> None:
    """They learn nothing, not even that there is something."""
    for method in ["GET", "POST"]:
        answer = ask(stranger, path, method=method)
        assert (answer.version, answer.path) == ("v1", path)
    assert ask(stranger, path, method="HEAD").response.headers["x-shop-version"] == "v1"


@pytest.mark.parametrize("path", ["/healthz", "/serinusx/healthz", "/x/serinus/healthz", "/"])
def test_other_paths_go_upstream(client: Client, path: str) -> None:
    assert ask(client, path).path == path


def test_without_a_page_all_goes_upstream(start, upstreams: Upstreams, http2: bool) -> None:
    envoy = start(policy(route("shop")), upstreams)
    with Client(envoy.port, http2) as client:
        for path in ENDPOINTS:
            assert ask(client, path).path == path


def test_the_version_is_the_filters(client: Client) -> None:
    assert paths.crate_version() in ask(client, "/serinus/version").response.text


def test_the_state_is_a_json_document_of_a_version(proxy: EcdsEnvoy, client: Client) -> None:
    response = ask(client, "/serinus/state.json").response
    assert response.headers["content-type"].startswith("application/json")
    document = response.json()
    assert (document["version"], document["serinus"]) == (1, paths.crate_version())
    assert "shop" in [told["route"] for told in document["routes"]]
    assert [told["variant"] for told in State(proxy).route("shop")["variants"]] == [
        "stable",
        "canary",
    ]


def healthz(envoy: EcdsEnvoy) -> set[int]:
    return {get(envoy, "healthz")[0] for _ in range(OFTEN)}


@pytest.mark.parametrize("bad", ["{", policy(route("shop", shares="1%"), page=PAGE)])
def test_health_is_bad_while_the_newest_policy_is_refused(
    start, upstreams: Upstreams, bad: object
) -> None:
    envoy = start(POLICY, upstreams)
    assert healthz(envoy) == {200}
    for _ in range(2):
        before = json.loads(get(envoy, "state.json")[1])["policy"]
        envoy.apply(bad)
        becomes(lambda: healthz(envoy), {503}, "health is bad")
        every_worker_says(
            envoy,
            "the old policy is in force and the new one rejected",
            lambda state, version=before["version"]: (
                state.document["policy"]["version"] == version
                and state.document["rejected"]["problems"]
            ),
        )
        envoy.apply(policy(route("shop", share="60%"), page=PAGE))
        becomes(lambda: healthz(envoy), {200}, "health is good again")
    every_worker_says(
        envoy, "nothing is rejected", lambda state: state.document["rejected"] is None
    )


def hosts_of_the_canary(config: Config, ports: list[int], socket: str) -> None:
    clusters = config["static_resources"]["clusters"]
    shop_v2 = next(cluster for cluster in clusters if cluster["name"] == "shop-v2")
    addresses: list[Config] = [
        {"socket_address": {"address": "127.0.0.1", "port_value": port}} for port in ports
    ]
    addresses.append({"pipe": {"path": socket}})
    hosts = [{"endpoint": {"address": address}} for address in addresses]
    shop_v2["load_assignment"]["endpoints"] = [{"lb_endpoints": hosts}]


def test_one_bad_host_of_many_shows_with_its_address(
    start, upstreams: Upstreams, broken: dict[str, int]
) -> None:
    """A host may be a Unix socket, whose address is a path."""
    ports = [upstreams.v1, upstreams.v2, broken["refusing"]]
    socket = "/nonexistent/shop.sock"
    hosts = policy(
        route("shop", share="100%"), page=PAGE, report={"accessLog": True, "hosts": True}
    )
    envoy = start(hosts, upstreams, lambda config: hosts_of_the_canary(config, ports, socket))
    each = 10
    with Client(envoy.port, False) as client:
        for user in range(each * (len(ports) + 1)):
            client.ask(host="shop.test", headers={"x-user-id": f"user-{user}"})
    becomes(
        lambda: State(envoy).variant("shop", "canary").outcomes,
        {"ok": 2 * each, "error_connect": 2 * each},
        "all requests are counted",
    )
    told = State(envoy).variant("shop", "canary").hosts
    expected = {f"127.0.0.1:{port}": 0 for port in ports[:2]}
    expected |= {f"127.0.0.1:{ports[2]}": each, socket: each}
    assert {address: host["errors"] for address, host in told.items()} == expected
    assert sum(host["requests"] for host in told.values()) == each * (len(ports) + 1)


def test_one_caller_who_tries_again_is_told_from_an_outage(start, broken: dict[str, int]) -> None:
    routes = [route("alone", share="100%"), route("many", share="100%")]
    at_broken = Upstreams(broken["http1"], broken["http1"])
    envoy = start(policy(*routes, page=PAGE), at_broken)
    with Client(envoy.port, True) as client:
        for number in range(40):
            for host, user in [("alone", "anna"), ("many", f"user-{number}")]:
                headers = {"x-user-id": user}
                answer = client.ask("/status/503", host=f"{host}.test", headers=headers)
                assert answer.status == 503

    def failing() -> dict[str, float]:
        return envoy.counts("serinus_failing_callers", "route", variant="canary")

    becomes(lambda: failing().get("alone"), 1.0, "one caller has errors")
    becomes(lambda: 35 <= failing().get("many", 0) <= 45, True, "about forty callers have errors")
