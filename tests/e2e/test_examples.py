"""The files of envoy-config/, each as a user copies it, in both Envoys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from serinus_e2e.client import Client
from serinus_e2e.config import Upstreams, render
from serinus_e2e.envoy import EcdsEnvoy, Envoy, eventually

# Each file, and the name that it gives the variant.
FILES = {"header-routes.yaml": "canary", "cluster-header.yaml": "shop-v2", "ecds.yaml": "canary"}
STAFF = {"x-employee": "true"}


@pytest.fixture(scope="module", params=FILES)
def example(
    envoy_version: str,
    upstreams: Upstreams,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[tuple[Envoy, str]]:
    """A running example file, and its variant's name."""
    folder: Path = tmp_path_factory.mktemp("example")
    if request.param == "ecds.yaml":
        envoy: Envoy = EcdsEnvoy(envoy_version, folder, upstreams)
    else:
        envoy = Envoy(envoy_version, folder, render(request.param, folder, upstreams))
    with envoy:
        yield envoy, FILES[request.param]
        envoy.check_unhurt()


@pytest.fixture
def ask(example: tuple[Envoy, str], http2: bool) -> Iterator[Client]:
    with Client(example[0].port, http2) as client:
        yield client


def test_a_rule_sends_employees_to_the_new_version(example, ask: Client) -> None:
    answer = ask.ask("/cart", headers=STAFF)
    assert (answer.version, answer.path) == ("v2", "/cart")
    assert answer.received("x-serinus-variant") == [example[1]]
    assert (answer.reason["reason"], answer.reason["rule"]) == ("rule", "employees")


def test_a_rule_keeps_old_apps_on_the_old_version(ask: Client) -> None:
    answer = ask.ask("/cart", headers={"x-app-version": "1.9.0", "x-user-id": "anna"})
    assert (answer.version, answer.reason["rule"]) == ("v1", "old-apps")


def test_others_go_by_their_slot(ask: Client) -> None:
    """Of these users the share of 5 % puts the first two in and leaves the others out."""
    versions = {}
    for number in range(60):
        answer = ask.ask("/cart", headers={"x-user-id": f"user-{number}"})
        assert answer.version == ("v2" if int(answer.reason["slot"]) < 50_000 else "v1")
        versions[answer.version] = number
    assert set(versions) == {"v1", "v2"}


def test_the_new_version_of_a_path_is_rewritten_for_the_variant(ask: Client) -> None:
    for number in range(200):
        answer = ask.ask("/get_widgets?size=7", headers={"x-user-id": f"user-{number}"})
        inside = int(answer.reason["slot"]) < 50_000
        expected = ("v2", "/v2/widgets?size=7") if inside else ("v1", "/get_widgets?size=7")
        assert (answer.version, answer.path) == expected
        if inside:
            return
    raise AssertionError("none of 200 users at 5 %")


def test_callers_without_a_name_get_a_cookie(ask: Client) -> None:
    (cookie,) = ask.ask("/cart").set_cookies
    assert cookie.startswith("serinus=") and "Max-Age=2592000" in cookie


@pytest.mark.parametrize("forged", ["canary", "shop-v2", "shop-v1", ""])
def test_callers_cannot_name_a_variant(ask: Client, forged: str) -> None:
    headers = {"x-serinus-variant": forged, "x-app-version": "1.0.0"}
    answer = ask.ask("/cart", headers=headers)
    assert (answer.version, answer.received("x-serinus-variant")) == ("v1", [])


def test_the_access_log_says_why(example, ask: Client) -> None:
    envoy, variant = example
    path = f"/logged-{ask.protocol.lower()}"
    ask.ask(path, headers=STAFF)
    line = envoy.logged(f'"GET {path} {ask.protocol}" 200')
    assert f'serinus="route=shop variant={variant} reason=rule' in line


def test_the_metrics_have_their_labels(example, ask: Client) -> None:
    envoy, variant = example
    labels = {"route": "shop", "variant": variant, "reason": "rule"}
    ask.ask("/cart", headers=STAFF)
    eventually(lambda: envoy.decisions(**labels) > 0, "the request is counted")


def test_a_changed_file_takes_effect_without_a_restart(
    envoy_version: str, tmp_path: Path, upstreams: Upstreams, http2: bool
) -> None:
    running = EcdsEnvoy(envoy_version, tmp_path, upstreams)
    with running as envoy, Client(envoy.port, http2) as client:
        users = [{"x-user-id": f"user-{number}"} for number in range(20)]
        assert "v1" in {client.ask(headers=user).version for user in users}
        policy = envoy.policy_file.policy
        policy["routes"][1]["variants"][0]["share"] = "100%"
        envoy.apply(policy)
        assert {client.ask(headers=user).version for user in users} == {"v2"}
