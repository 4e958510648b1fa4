"""Changes while a gateway runs: the policy, the image, and what becomes of bad ones."""

from __future__ import annotations

import copy
import statistics
from pathlib import Path

import pytest

from serinus_e2e import oracle, paths
from serinus_e2e.client import Client
from serinus_e2e.envoy import eventually
from serinus_mesh import registry
from serinus_mesh.mesh import (
    CHANGE_SECONDS,
    INSIDE,
    OUTSIDE,
    SHARE_PPM,
    Mesh,
    page,
    policy_of,
    set_share,
    took,
)

MISSING = f"oci://{registry.HOST}/serinus/none:1"


pytestmark = pytest.mark.usefixtures("restored")


def version_of(gateway: Client, caller: dict[str, str]) -> str:
    return gateway.ask(headers=caller).version


def test_a_new_share_is_in_force_soon(mesh: Mesh, gateway: Client, proved) -> None:
    times = []
    for share, version in [("100%", "v2"), ("0%", "v1")] * 4:
        plugin = set_share(mesh.plugin(), share)
        times.append(
            took(
                lambda plugin=plugin: mesh.kube.apply(plugin),
                lambda version=version: version_of(gateway, OUTSIDE) == version,
                f"share {share}",
            )
        )
    proved("policy change, kubectl included: median of 8", statistics.median(times))
    proved("policy change, kubectl included: longest of 8", max(times))


def test_raising_the_share_moves_nobody_out(mesh: Mesh, gateway: Client) -> None:
    users = [{"x-user-id": f"user-{number}"} for number in range(60)]
    before = {user["x-user-id"] for user in users if version_of(gateway, user) == "v2"}
    mesh.kube.apply(set_share(mesh.plugin(), "60%"))
    inside = {"x-user-id": oracle.keys_in("shop", SHARE_PPM, 600_000, 1)[0]}
    eventually(lambda: version_of(gateway, inside) == "v2", "the new share", CHANGE_SECONDS)
    after = {user["x-user-id"] for user in users if version_of(gateway, user) == "v2"}
    assert before < after


@pytest.mark.parametrize("form", ["tag", "digest", "sha256", "re-pushed tag"])
def test_the_plugin_comes_from_a_registry(
    mesh: Mesh, gateway: Client, tmp_path: Path, form: str, proved
) -> None:
    """Each time another image, so that nothing is in the agent's cache."""
    name = form.replace(" ", "-")
    digest = registry.build(tmp_path / "image", source=f"https://example.com/{name}")
    by_digest = registry.push(tmp_path / "image", f"serinus/{name}:2")
    assert by_digest.endswith(digest) and digest != mesh.digest
    plugin = set_share(mesh.plugin(), "100%")
    tagged = f"oci://{registry.HOST}/serinus/{name}:2"
    plugin["spec"]["url"] = f"oci://{by_digest}" if form == "digest" else tagged
    if form == "sha256":
        # The digest of the manifest; that of the module is refused.
        plugin["spec"]["sha256"] = digest.removeprefix("sha256:")
    seconds = took(
        lambda: mesh.kube.apply(plugin),
        lambda: version_of(gateway, OUTSIDE) == "v2",
        f"an image by {form}",
    )
    proved(f"image by {form}, pulled and in force", seconds)
    if form == "re-pushed tag":
        check_repushed(mesh, gateway, plugin, tmp_path, proved)


def check_repushed(mesh: Mesh, gateway: Client, plugin, folder: Path, proved) -> None:
    """IfNotPresent keeps the module that a tag had; Always takes the one that it has."""
    registry.build(folder / "image", registry.other_module(folder))
    registry.push(folder / "image", "serinus/re-pushed-tag:2")
    crate = paths.crate_version()
    for policy, version, share, expected in [
        ("IfNotPresent", crate, "0%", "v1"),
        ("Always", registry.OTHER_VERSION, "100%", "v2"),
    ]:
        changed = set_share(copy.deepcopy(plugin), share)
        changed["spec"]["imagePullPolicy"] = policy
        mesh.kube.apply(changed)
        eventually(
            lambda expected=expected: version_of(gateway, OUTSIDE) == expected,
            f"{policy} is in force",
            CHANGE_SECONDS,
        )
        assert version in page(gateway, "version").response.text
    proved("re-pushed tag: IfNotPresent keeps the old module, Always takes the new one")


def test_a_bad_policy_leaves_the_last_good_one_and_says_so(
    mesh: Mesh, gateway: Client, proved
) -> None:
    plugin = set_share(mesh.plugin(), "250%")
    policy_of(plugin)["routes"][0]["keys"] = []
    seconds = took(
        lambda: mesh.kube.apply(plugin),
        lambda: page(gateway, "healthz").status == 503,
        "the filter says that it refused",
    )
    assert (version_of(gateway, INSIDE), version_of(gateway, OUTSIDE)) == ("v2", "v1")
    refused = [line for line in mesh.gateway.log.splitlines() if "policy refused" in line]
    assert any("routes[0].variants[0].share" in line for line in refused), refused[-5:]
    assert any("keys" in line for line in refused), refused[-5:]
    eventually(
        lambda: mesh.gateway.sum("serinus_policy_rejected") == 1, "serinus_policy_rejected", 30
    )
    proved(
        "bad policy while running: last good one serves; log, healthz and metric say so", seconds
    )


def test_a_missing_image_while_running_passes_all_as_stable(
    mesh: Mesh, gateway: Client, proved
) -> None:
    plugin = mesh.plugin()
    plugin["spec"]["url"] = MISSING
    seconds = took(
        lambda: mesh.kube.apply(plugin),
        lambda: version_of(gateway, INSIDE) == "v1",
        "the plugin is out",
    )
    assert gateway.ask(headers=INSIDE).reason == {}
    assert gateway.ask(headers=OUTSIDE).version == "v1"
    assert "serinus/none" in mesh.gateway.log
    proved(
        "image missing while running (FAIL_OPEN): 200, all stable; the agent's log says so", seconds
    )


def test_a_module_that_does_not_match_its_digest_is_not_run(mesh: Mesh, gateway: Client) -> None:
    plugin = mesh.plugin()
    plugin["spec"]["sha256"] = "0" * 64
    plugin["spec"]["url"] = f"oci://{registry.HOST}/serinus/serinus:1"
    mesh.kube.apply(plugin)
    eventually(lambda: version_of(gateway, INSIDE) == "v1", "the plugin is out", CHANGE_SECONDS)
