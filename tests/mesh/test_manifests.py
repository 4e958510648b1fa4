"""Every shipped resource is taken by the real API server, by istiod and by istioctl."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from serinus_mesh import cluster, places
from serinus_mesh.istiod import istioctl
from serinus_mesh.kube import Refused, Resource
from serinus_mesh.mesh import Mesh, installation

FILES = sorted(
    path.relative_to(places.ISTIO)
    for path in places.ISTIO.rglob("*.yaml")
    if "apiVersion" in path.read_text() and path.parent.name not in ("settings", "install")
    if path.name != "kustomization.yaml"
)
FOR_ISTIO = [file for file in FILES if file.parent.name != "envoy-gateway"]


def resources(file: Path) -> list[Resource]:
    return list(yaml.safe_load_all((places.ISTIO / file).read_text()))


def test_the_api_server_and_istiod_take_every_manifest(mesh: Mesh, proved) -> None:
    kinds = set()
    for file in FILES:
        for resource in resources(file):
            kinds.add(resource["kind"])
            # Those of the installation are there under their own names.
            resource["metadata"]["name"] = "as-shipped"
            mesh.kube.dry_run(resource)
    istios = {"WasmPlugin", "TrafficExtension", "VirtualService", "DestinationRule", "Telemetry"}
    others = {"EnvoyFilter", "EnvoyExtensionPolicy", "HTTPRoute", "Backend"}
    assert kinds == istios | others
    proved(f"API server with istiod's webhook takes all {len(FILES)} manifests of istio/")


def test_istiods_webhook_is_asked(mesh: Mesh) -> None:
    """By a fault that the CRD's own rules let through."""
    wrong = mesh.resource("VirtualService", "shop", "shop")
    wrong["metadata"]["name"] = "wrong"
    wrong["spec"]["http"][1]["route"][0]["weight"] = -1
    with pytest.raises(Refused, match="weight"):
        mesh.kube.dry_run(wrong)


@pytest.mark.parametrize("file", FOR_ISTIO, ids=str)
def test_istioctl_validates_it(file: Path) -> None:
    fine, said = istioctl("validate", "-f", places.ISTIO / file)
    assert fine, said


def test_istioctl_analyze_finds_nothing_in_the_manifests(
    mesh: Mesh, tmp_path: Path, proved
) -> None:
    """Beside the installation, those that are not part of it."""
    beside = [
        *(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": it, "labels": INJECTED}}
            for it in cluster.NAMESPACES
        ),
        *(it for it in mesh.beside() if it["kind"] in ("Service", "Gateway", "WorkloadEntry")),
    ]
    others = [file for file in FOR_ISTIO if file.parent.name in ("envoyfilter", "trafficextension")]
    assert len(others) == 3
    beside += [resource for file in others for resource in resources(file)]
    files = tmp_path / "all.yaml"
    files.write_text(yaml.safe_dump_all([*installation(tmp_path / "i", mesh.image), *beside]))
    fine, said = istioctl(*ANALYZE, "--failure-threshold=Warning", files)
    assert fine, said
    proved("istioctl validate and analyze are content")


# It says of every EnvoyFilter that other ways are better, and so do the comments in ours.
ANY_ENVOYFILTER = "--suppress=IST0133=EnvoyFilter *"
ANALYZE = ("analyze", "--use-kube=false", "--all-namespaces", ANY_ENVOYFILTER)
# Without it istioctl remarks that nobody's sidecars are injected.
INJECTED = {"istio-injection": "enabled"}


def test_istioctl_analyze_sees_a_fault(mesh: Mesh, tmp_path: Path) -> None:
    shipped = installation(tmp_path / "i", mesh.image)
    for resource in shipped:
        if resource["kind"] == "DestinationRule":
            resource["spec"]["subsets"].pop()
    files = tmp_path / "all.yaml"
    files.write_text(yaml.safe_dump_all(shipped))
    _, said = istioctl(*ANALYZE, files)
    assert "IST0101" in said


def test_one_file_sets_image_digest_route_and_share(tmp_path: Path) -> None:
    """In the gateway's plugin and in the sidecars'."""
    built = installation(tmp_path / "i", "registry.test/s/s@sha256:" + "ab" * 32, "7%", "tills")
    plugins = [it["spec"] for it in built if it["kind"] == "WasmPlugin"]
    assert len(plugins) == 2
    for plugin in plugins:
        (route,) = plugin["pluginConfig"]["routes"]
        assert plugin["url"] == "oci://registry.test/s/s@sha256:" + "ab" * 32
        assert (route["name"], route["variants"][0]["share"]) == ("tills", "7%")
    assert "ConfigMap" not in {it["kind"] for it in built}
