"""Images written straight into an OCI layout, without a builder."""
import gzip
import hashlib
import json
import os
import random
import tarfile

from contexts import SEED

TYPE = "application/vnd.oci.image."


class Layout:
    """A directory that becomes an OCI image layout of one image, tagged `latest`."""

    def __init__(self, place):
        self.place, self.blobs, self.layers, self.diff_ids = place, place / "blobs" / "sha256", [], []
        self.blobs.mkdir(parents=True)

    def blob(self, digest):
        return self.blobs / digest.removeprefix("sha256:")

    def put(self, kind, data):
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        self.blob(digest).write_bytes(data)
        return {"mediaType": TYPE + kind, "digest": digest, "size": len(data)}

    def layer(self, parts, level):
        """A layer of a tar, given in parts, compressed by gzip at `level` (0 to 9)."""
        tar, file = hashlib.sha256(), open(self.blobs / "unfinished", "wb+")
        with file:
            with gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=level, mtime=0) as packed:
                for part in parts:
                    tar.update(part)
                    packed.write(part)
            size = file.tell()
            file.seek(0)
            digest = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
        os.rename(self.blobs / "unfinished", self.blob(digest))
        self.layers.append({"mediaType": TYPE + "layer.v1.tar+gzip", "digest": digest, "size": size})
        self.diff_ids.append("sha256:" + tar.hexdigest())

    def finish(self, created_by, environment=()):
        """Writes config, manifest and index; `self.digest` and `self.all` (every blob) are known from now on."""
        architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
        config = self.put("config.v1+json", json.dumps({
            "architecture": architecture, "os": "linux", "config": {"Env": list(environment)},
            "history": [{"created_by": created_by} for _ in self.layers],
            "rootfs": {"type": "layers", "diff_ids": self.diff_ids}}).encode())
        manifest = self.put("manifest.v1+json", json.dumps({
            "schemaVersion": 2, "mediaType": TYPE + "manifest.v1+json", "config": config, "layers": self.layers}).encode())
        (self.place / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        (self.place / "index.json").write_text(json.dumps({
            "schemaVersion": 2, "mediaType": TYPE + "index.v1+json",
            "manifests": [{**manifest, "annotations": {"org.opencontainers.image.ref.name": "latest"}}]}))
        self.digest = manifest["digest"]
        self.all = [one["digest"] for one in (manifest, config, *self.layers)]
        return self


def noise(place, sizes):
    """An image with a layer of one file of noise for each size in bytes, hardly larger than that."""
    image, rng = Layout(place), random.Random(SEED)

    def tar(number, size):
        header = tarfile.TarInfo(f"noise-{number}")
        header.size = size
        yield header.tobuf(tarfile.USTAR_FORMAT)
        for start in range(0, size, 1 << 20):
            yield rng.randbytes(min(1 << 20, size - start))
        yield bytes(-size % 512 + 1024)

    for number, size in enumerate(sizes):
        image.layer(tar(number, size), 0)
    return image.finish("noise")


def of_archive(place, archive):
    """An image of one layer, the tar file `archive`, which is removed."""
    image = Layout(place)
    with open(archive, "rb") as file:
        image.layer(iter(lambda: file.read(1 << 20), b""), 6)
    archive.unlink()
    return image.finish("mmdebstrap", ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"])
