"""The filter as an OCI image, in the one form that Istio and Envoy Gateway both load.

An OCI image of one layer, a gzipped tar archive that holds the filter as `plugin.wasm`, written as
an OCI layout (a folder) without a container engine. The same filter, version and revision give the
same bytes, on any machine: the archive has no times and no owners, and the layer is gzip without
compression, because compressors of different versions write different bytes. That costs some 300 kB
a pull.

Artifacts with the media types of `application/vnd.module.wasm` are smaller manifests, and Istio
refuses those of one layer; so this is the older form.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import struct
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
# The name that both look for in the layer.
FILE = "plugin.wasm"
WASM_MAGIC = b"\0asm"
# RFC 1951, 3.2.4: the length of a stored block is 16 bits.
LARGEST_BLOCK = 0xFFFF


class Bad(RuntimeError):
    """What was given cannot be used; the text says what to give instead."""


@dataclass(frozen=True)
class Labels:
    """What the image says of itself, in the names of the OCI image specification."""

    version: str
    revision: str
    source: str

    def as_annotations(self) -> dict[str, str]:
        named = {
            "title": "serinus",
            "description": "A canary filter for Envoy, Istio and Envoy Gateway",
            "licenses": "Apache-2.0",
            "version": self.version,
            "revision": self.revision,
            "source": self.source,
        }
        return {f"org.opencontainers.image.{name}": text for name, text in named.items() if text}


def digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def archive(wasm: bytes) -> bytes:
    """A tar archive with the filter alone."""
    buffer = io.BytesIO()
    entry = tarfile.TarInfo(FILE)
    entry.size, entry.mode = len(wasm), 0o644
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        tar.addfile(entry, io.BytesIO(wasm))
    return buffer.getvalue()


def gzip_stored(content: bytes) -> bytes:
    """RFC 1952 around stored blocks, without a time or a name."""
    parts = [b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"]
    for start in range(0, len(content), LARGEST_BLOCK):
        block = content[start : start + LARGEST_BLOCK]
        last = start + len(block) == len(content)
        parts += [struct.pack("<BHH", last, len(block), len(block) ^ 0xFFFF), block]
    parts.append(struct.pack("<II", zlib.crc32(content), len(content) & 0xFFFFFFFF))
    return b"".join(parts)


def as_json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest(content), "size": len(content)}


@dataclass(frozen=True)
class Image:
    """A manifest and the two blobs that it names."""

    manifest: bytes
    config: bytes
    layer: bytes

    @property
    def digest(self) -> str:
        """What `@sha256:…` in a reference and `sha256` in a WasmPlugin mean."""
        return digest(self.manifest)

    @property
    def blobs(self) -> list[bytes]:
        """What a registry must hold before it takes the manifest."""
        return [self.config, self.layer]

    @classmethod
    def of(cls, wasm: bytes, labels: Labels) -> Image:
        if not wasm.startswith(WASM_MAGIC):
            raise Bad("the filter is not a WebAssembly module: give what `make build` leaves")
        tar, annotations = archive(wasm), labels.as_annotations()
        layer = gzip_stored(tar)
        config = as_json(
            {
                "architecture": "wasm",
                "os": "wasi",
                "config": {"Labels": annotations},
                "rootfs": {"type": "layers", "diff_ids": [digest(tar)]},
            }
        )
        manifest = as_json(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": descriptor(CONFIG, config),
                "layers": [descriptor(LAYER, layer)],
                "annotations": annotations,
            }
        )
        return cls(manifest, config, layer)

    def write(self, folder: Path) -> None:
        """Writes the layout in place of an older one."""
        if (folder / "oci-layout").is_file():
            shutil.rmtree(folder)
        blobs = folder / "blobs/sha256"
        blobs.mkdir(parents=True)
        for content in [*self.blobs, self.manifest]:
            (blobs / digest(content).removeprefix("sha256:")).write_bytes(content)
        index = {
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [descriptor(MANIFEST, self.manifest)],
        }
        (folder / "index.json").write_bytes(as_json(index))
        (folder / "oci-layout").write_bytes(as_json({"imageLayoutVersion": "1.0.0"}))

    @classmethod
    def read(cls, folder: Path) -> Image:
        """The image of a layout that `write` left."""

        def blob(described: dict[str, Any]) -> bytes:
            content = (folder / "blobs" / described["digest"].replace(":", "/")).read_bytes()
            if digest(content) != described["digest"]:
                raise Bad(f"{folder}: the blob {described['digest']} is damaged: run `make image`")
            return content

        try:
            (listed,) = json.loads((folder / "index.json").read_bytes())["manifests"]
            manifest = blob(listed)
            named = json.loads(manifest)
            (layer,) = named["layers"]
            return cls(manifest, blob(named["config"]), blob(layer))
        except (OSError, ValueError, KeyError) as error:
            raise Bad(f"{folder} is no image: run `make image` ({error})") from error
