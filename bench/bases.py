"""Base images: the busybox of testdata/, and a Debian made here when the tools and a mirror are at hand."""
import json
import shutil
import subprocess
from pathlib import Path

import images
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
        images.of_archive(kept, kept / "root.tar")
    return Base("debian", kept), None


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
