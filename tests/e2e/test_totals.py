"""Counts of all workers, virtual machines and filters together: nothing lost, nothing twice."""

from __future__ import annotations

import copy
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from serinus_e2e import paths
from serinus_e2e.causes import ask
from serinus_e2e.client import Client
from serinus_e2e.config import (
    Config,
    PolicyFile,
    Upstreams,
    connection_manager,
    policy_value,
    render,
)
from serinus_e2e.envoy import EcdsEnvoy, becomes, eventually
from serinus_e2e.policies import policy, route
from serinus_e2e.state import PAGE, State

REQUESTS = 30
# Workers tell their counts each second; after two of them nothing is on its way.
TELLING_SECONDS = 2.5


POLICY = policy(route("shop", share="100%"), page=PAGE)


def ask_often(port: int) -> None:
    """Each on a connection of its own, so that both workers have their part."""
    for number in range(REQUESTS):
        with Client(port, number % 2 == 1) as client:
            headers = {"x-user-id": f"user-{number}"}
            assert client.ask(host="shop.test", headers=headers).version == "v2"


def counted(envoy: EcdsEnvoy) -> dict[str, float]:
    return envoy.counts("serinus_requests_total", "outcome", route="shop")


def told(envoy: EcdsEnvoy) -> dict[str, int]:
    return State(envoy).variant("shop", "canary").outcomes


def expect(envoy: EcdsEnvoy, requests: int) -> None:
    """So many requests are counted in both places, and stay so."""
    expected = {"ok": requests}
    becomes(lambda: (counted(envoy), told(envoy)), (expected, expected), "all are counted")
    time.sleep(TELLING_SECONDS)
    assert (counted(envoy), told(envoy)) == (expected, expected)


def other_policy(_: PolicyFile, __: Path) -> None:
    """The same virtual machine goes on."""


def other_vm_configuration(file: PolicyFile, _: Path) -> None:
    file.vm_config["configuration"] = {
        "@type": "type.googleapis.com/google.protobuf.StringValue",
        "value": "another",
    }


def other_code(file: PolicyFile, folder: Path) -> None:
    """The same filter with a custom section more, as a new version of it would come."""
    custom_section = b"\x00\x05\x04more"
    changed = folder / "changed.wasm"
    changed.write_bytes(paths.wasm().read_bytes() + custom_section)
    file.vm_config["code"]["local"]["filename"] = str(changed)


CHANGES = [other_policy, other_vm_configuration, other_code]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_totals_survive(
    start, upstreams: Upstreams, tmp_path: Path, change: Callable[[PolicyFile, Path], None]
) -> None:
    """What was not told yet is not lost either."""
    envoy = start(POLICY, upstreams)
    ask_often(envoy.port)
    change(envoy.policy_file, tmp_path)
    envoy.apply(policy(route("shop", share="100%", salt="shop"), page=PAGE))
    ask_often(envoy.port)
    expect(envoy, 2 * REQUESTS)


def test_two_filters_of_one_machine_count_a_request_once(
    start, upstreams: Upstreams, tmp_path: Path
) -> None:
    second = render("ecds-filter.yaml", tmp_path, upstreams)["resources"][0]["typed_config"]
    second["config"]["name"] = "second"
    policy_value(second)["value"] = json.dumps(POLICY)

    def twice(config: Config) -> None:
        filters = connection_manager(config)["http_filters"]
        filters.insert(1, {"name": "second", "typed_config": second})

    envoy = start(POLICY, upstreams, twice)
    ask_often(envoy.port)
    expect(envoy, REQUESTS)


def test_two_listeners_with_the_same_filter_count_together(start, upstreams: Upstreams) -> None:
    def both(config: Config) -> None:
        listeners = config["static_resources"]["listeners"]
        listeners.append({**copy.deepcopy(listeners[0]), "name": "second"})

    envoy = start(POLICY, upstreams, both)
    ask_often(envoy.port)
    ask_often(envoy.listener_port("second"))
    expect(envoy, 2 * REQUESTS)


def test_requests_in_flight_while_their_route_goes_are_counted_or_dropped(
    start, broken: dict[str, int]
) -> None:
    at_broken = Upstreams(broken["http1"], broken["http1"])
    other = route("other", share="100%")
    envoy = start(policy(route("shop", share="100%"), other, page=PAGE), at_broken)
    send = ask("/after/1500", 200)
    threads = [
        threading.Thread(target=send, args=(envoy.port, "shop.test", False))
        for _ in range(REQUESTS)
    ]
    for thread in threads:
        thread.start()
    active = r"cluster\.shop-v2\.upstream_rq_active"
    eventually(lambda: envoy.stat(active) == REQUESTS, "all requests are under way")
    envoy.apply(policy(other, page=PAGE))
    for thread in threads:
        thread.join()

    def accounted() -> float:
        return counted(envoy).get("ok", 0) + envoy.metrics()["serinus_dropped_total{}"]

    becomes(accounted, REQUESTS, "all are counted or dropped")
    assert counted(envoy).keys() <= {"ok"}
