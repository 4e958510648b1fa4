"""What still works when istiod or the registry is gone."""

from __future__ import annotations

import pytest

from serinus_e2e.client import Client
from serinus_e2e.envoy import eventually
from serinus_mesh import cluster
from serinus_mesh.mesh import CHANGE_SECONDS, INSIDE, OUTSIDE, Mesh, page, set_share

pytestmark = pytest.mark.usefixtures("restored")


def versions(gateway: Client) -> tuple[str, str]:
    return gateway.ask(headers=INSIDE).version, gateway.ask(headers=OUTSIDE).version


def test_without_istiod_the_filter_goes_on(mesh: Mesh, gateway: Client, proved) -> None:
    mesh.istiod.program.stop()
    try:
        assert versions(gateway) == ("v2", "v1")
        assert page(gateway, "healthz").status == 200
    finally:
        mesh.istiod.program.start()
    mesh.kube.apply(set_share(mesh.plugin(), "100%"))
    eventually(lambda: versions(gateway) == ("v2", "v2"), "changes arrive again", CHANGE_SECONDS)
    proved("istiod gone: decisions go on; changes arrive once it is back")


def test_without_the_canarys_pods_its_callers_fail_and_the_others_do_not(
    mesh: Mesh, gateway: Client, proved
) -> None:
    """Which the filter counts against the canary."""
    mesh.kube.delete(cluster.pod("shop", "v2", mesh.canary.port))
    eventually(lambda: gateway.ask(headers=INSIDE).status == 503, "no host", CHANGE_SECONDS)
    assert gateway.ask(headers=OUTSIDE).version == "v1"
    labels = {"route": "shop", "variant": "canary", "outcome": "error_no_host"}
    eventually(lambda: mesh.gateway.sum("serinus_requests_total", **labels), "it is counted", 30)
    proved("canary's pods gone: its callers get 503, counted as error_no_host; the others do not")


def test_without_the_registry_a_proxy_that_has_the_module_goes_on(
    mesh: Mesh, gateway: Client, proved
) -> None:
    """Pinned by digest, so that the agent has nothing to ask."""
    mesh.registry.stop()
    try:
        assert versions(gateway) == ("v2", "v1")
        mesh.kube.apply(set_share(mesh.plugin(), "100%"))
        eventually(lambda: versions(gateway) == ("v2", "v2"), "a new policy", CHANGE_SECONDS)
    finally:
        mesh.registry.start()
        # It keeps its images in memory.
        mesh.push()
    proved("registry gone: decisions go on, and policy changes too, from the agent's cache")
