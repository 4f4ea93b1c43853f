"""A registry on loopback for the transfers: docker-registry with its own directory."""
import hashlib
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.request

import images
from tools import drop


class Registry:
    """Started on a free port; `stop` ends it."""

    ACCEPT = ", ".join((
        "application/vnd.oci.image.index.v1+json", "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json", "application/vnd.docker.distribution.manifest.v2+json"))

    def __init__(self, place):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.address, self.place, self._dropped = f"localhost:{port}", place, 0
        place.mkdir(parents=True)
        config = place / "config.yml"
        config.write_text(json.dumps({
            "version": 0.1, "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(place / "data")}, "delete": {"enabled": True}},
            "http": {"addr": f"127.0.0.1:{port}"}}))
        self.process = subprocess.Popen(["docker-registry", "serve", config], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        for _ in range(500):
            try:
                urllib.request.urlopen(f"http://{self.address}/v2/")
                return
            except OSError:
                time.sleep(0.01)
        sys.exit("docker-registry does not start")

    @staticmethod
    def missing():
        return None if shutil.which("docker-registry") else "docker-registry is not installed"

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def forget(self):
        """Drops everything that was pushed; the running registry keeps no memory of blobs that are gone."""
        data = self.place / "data"
        if data.exists():
            self._dropped += 1
            drop(data.rename(self.place / f"dropped-{self._dropped}"))

    def url(self, repository):
        return f"http://{self.address}/v2/{repository}"

    def read(self, path):
        return urllib.request.urlopen(urllib.request.Request(self.url(path), headers={"Accept": self.ACCEPT})).read()

    def begin(self, repository, digest):
        """The URL to which a PUT of the blob ends its upload."""
        begun = urllib.request.urlopen(urllib.request.Request(f"{self.url(repository)}/blobs/uploads/", method="POST"))
        return f"{begun.headers['Location']}&digest={digest}"

    def put(self, url, file, kind="application/octet-stream"):
        headers = {"Content-Type": kind, "Content-Length": str(file.stat().st_size)}
        with open(file, "rb") as data:
            urllib.request.urlopen(urllib.request.Request(url, data=data, method="PUT", headers=headers))

    def seed(self, repository, image):
        """Puts an `images.Layout` here as `repository`:1."""
        for digest in image.all[1:]:
            self.put(self.begin(repository, digest), image.blob(digest))
        self.put(f"{self.url(repository)}/manifests/1", image.blob(image.digest), images.TYPE + "manifest.v1+json")

    def lacks(self, repository, image):
        """What of an image is not here under the tag `1`."""
        there = hashlib.sha256(self.read(f"{repository}/manifests/1")).hexdigest()
        missing = [] if image.digest == f"sha256:{there}" else [image.digest]
        for digest in image.all[1:]:
            try:
                urllib.request.urlopen(urllib.request.Request(f"{self.url(repository)}/blobs/{digest}", method="HEAD"))
            except urllib.error.HTTPError:
                missing.append(digest)
        return missing

    def manifest(self, repository):
        """The manifest tagged `1`; the first image of an index."""
        found = json.loads(self.read(f"{repository}/manifests/1"))
        while "manifests" in found:
            found = json.loads(self.read(f"{repository}/manifests/{found['manifests'][0]['digest']}"))
        return found

    def blobs(self, repository):
        found = self.manifest(repository)
        return [found["config"]["digest"], *(layer["digest"] for layer in found["layers"])]

    def files(self, repository):
        layers = self.manifest(repository)["layers"]
        return merged(lambda layer=layer: self.read(f"{repository}/blobs/{layer['digest']}") for layer in layers)


def files_of_archive(archive):
    """What `merged` says of the only image in an OCI archive."""
    with tarfile.open(archive) as tar:
        read = lambda digest: tar.extractfile("blobs/" + digest.replace(":", "/")).read()
        manifest = json.loads(read(json.loads(tar.extractfile("index.json").read())["manifests"][0]["digest"]))
        return merged(lambda layer=layer: read(layer["digest"]) for layer in manifest["layers"])


def merged(layers):
    """Path -> (type, mode, digest) of layers on one another (none of the workloads deletes a file)."""
    out = {}
    for layer in layers:
        data = layer()
        if data[:4] == b"\x28\xb5\x2f\xfd":
            data = subprocess.run(["zstd", "-dc"], input=data, stdout=subprocess.PIPE, check=True).stdout
        with tarfile.open(fileobj=io.BytesIO(data)) as inner:
            for member in inner:
                file = member.isfile() or member.islnk()
                content = hashlib.sha256(inner.extractfile(member).read()).hexdigest() if file else ""
                kind = tarfile.REGTYPE if member.islnk() else member.type
                out[os.path.normpath("/" + member.name)] = (kind, member.mode & 0o7777, content)
    # Mount points that some builders leave in the image.
    stubs = ("/proc", "/sys", "/dev", "/run", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf")
    return {path: entry for path, entry in out.items() if path not in ("/", "/etc") and not path.startswith(stubs)}
