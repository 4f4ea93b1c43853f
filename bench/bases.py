"""Base images: the busybox of testdata/, and a Debian made here when the tools and a mirror are at hand."""
import gzip
import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

from builders import Base
from tools import run

REPOSITORY = Path(__file__).resolve().parent.parent


def busybox():
    return Base("busybox", REPOSITORY / "testdata" / "base")


def debian(cache):
    """A Debian with apt as an OCI layout below `cache`, made once; or the reason why not."""
    kept = cache / "debian"
    if not (kept / "index.json").exists():
        if not shutil.which("mmdebstrap"):
            return None, "mmdebstrap is not installed"
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        done = subprocess.run([REPOSITORY / "testdata/debian-apt/make-base", kept], capture_output=True, text=True)
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.startswith("E: ")]
            return None, f"no Debian can be made from this machine's mirror: {lines[-1] if lines else done.returncode}"
        layout(kept, kept / "root.tar")
    return Base("debian", kept), None


def layout(place, archive):
    """Makes `place` an OCI image layout of one layer, `archive`, which it takes."""
    blobs = place / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(data):
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"digest": f"sha256:{digest}", "size": len(data)}

    tar = archive.read_bytes()
    archive.unlink()
    layer = put(gzip.compress(tar, 6, mtime=0))
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    config = put(json.dumps({
        "architecture": architecture, "os": "linux", "config": {"Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]},
        "history": [{"created_by": "mmdebstrap"}],
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(tar).hexdigest()]}}).encode())
    manifest = put(json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **config},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", **layer}]}).encode())
    (place / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    reference = {"org.opencontainers.image.ref.name": "latest"}
    (place / "index.json").write_text(json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", **manifest, "annotations": reference}]}))


def unpack(base, place):
    """The files of a base image with one layer, as a directory."""
    place.mkdir(parents=True)
    blob = lambda digest: base.layout / "blobs" / digest.replace(":", "/")
    manifest = json.loads(blob(base.digest()).read_text())
    while "manifests" in manifest:
        manifest = json.loads(blob(manifest["manifests"][0]["digest"]).read_text())
    for layer in manifest["layers"]:
        run(["tar", "-xf", blob(layer["digest"]), "-C", place])
    return place
