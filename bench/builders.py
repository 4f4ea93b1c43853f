"""Cooper and its peers, each behind the same few verbs.

`build(context, ...)` returns (seconds, peak resident bytes of the builder's own process); `forget` drops what was built.
What a builder lacks raises `Lacks`.
"""
import json
import shutil
import subprocess

from tools import Peak, drop, run, run_watched, timed


class Lacks(Exception):
    """This builder does not do that."""


class Base:
    """A base image: its name in the Dockerfile and the OCI layout that holds it."""

    def __init__(self, name, layout):
        self.name, self.layout = name, layout

    def digest(self):
        return json.loads((self.layout / "index.json").read_text())["manifests"][0]["digest"]


class Cooper:
    name = "cooper"

    def __init__(self, place, binary, bases):
        self.place, self.binary, self.bases = place, binary, bases
        self.turn, self.store = 0, place / "cooper-0"

    def command(self, *words):
        return [self.binary, "--root", self.store, *words]

    def build(self, context, archive=None, push=None, compression="gzip", load=None, form="oci"):
        words = ["build", "--progress=quiet", "-t", load or push or "bench:1"]
        for base in self.bases:
            words += ["--build-context", f"{base.name}=oci-layout://{base.layout}"]
        if archive:
            words += ["--output", f"type={form},dest={archive}"]
        if push:
            words += ["--output", f"type=registry,compression={compression}"]
        if load:
            words += ["--load"]
        return run_watched(self.command(*words, context))

    def forget(self):
        """Begins a new store. The old one is not removed: see `tools.drop`."""
        drop(self.store)
        self.turn += 1
        self.store = self.place / f"cooper-{self.turn}"


class Buildkit:
    name = "buildkit"

    def __init__(self, place, bases):
        self.bases, self.pid = bases, self._daemon()

    @staticmethod
    def _daemon():
        found = subprocess.run(["pgrep", "-x", "-o", "buildkitd"], capture_output=True, text=True).stdout.split()
        return int(found[0]) if found else None

    @staticmethod
    def missing():
        if not shutil.which("buildctl"):
            return "buildctl is not installed"
        answers = subprocess.run(["buildctl", "debug", "workers"], capture_output=True).returncode == 0
        return None if answers else "buildkitd does not answer"

    def build(self, context, archive=None, push=None, compression="gzip", load=None):
        words = ["buildctl", "build", "--progress=plain", "--frontend", "dockerfile.v0", "--local", f"context={context}",
                 "--local", f"dockerfile={context}"]
        for base in self.bases:
            words += ["--oci-layout", f"{base.name}={base.layout}",
                      "--opt", f"context:{base.name}=oci-layout://{base.name}@{base.digest()}"]
        if archive:
            words += ["--output", f"type=oci,dest={archive}"]
        elif push:
            words += ["--output", f"type=image,name={push},push=true,registry.insecure=true,compression={compression},"
                                  "oci-mediatypes=true"]
        elif load:
            words += ["--output", f"type=docker,name={load}"]
        else:
            words += ["--output", "type=image,name=bench:1"]
        with Peak(self.pid) as peak:
            if load:
                seconds = timed(lambda: run(["sh", "-c", '"$@" | docker load', "sh", *words]))
            else:
                seconds = timed(lambda: run(words))
        return seconds, peak.bytes

    def forget(self):
        run(["buildctl", "prune", "--all"])


class Buildah:
    name = "buildah"

    def __init__(self, place, bases):
        self.options = ["--root", place / "buildah", "--runroot", place / "buildah-run"]
        for base in bases:
            run(["buildah", *self.options, "pull", f"oci:{base.layout}"])
            image = json.loads(run(["buildah", *self.options, "images", "--json"]))[0]["id"]
            run(["buildah", *self.options, "tag", image, f"localhost/{base.name}:latest"])

    @staticmethod
    def missing():
        return None if shutil.which("buildah") else "buildah is not installed"

    def build(self, context, archive=None, push=None, compression="gzip", load=None):
        if load or compression != "gzip":
            raise Lacks
        runtime = ["--runtime", "runc"] if shutil.which("runc") else []
        words = ["buildah", *self.options, "build", *runtime, "--layers", "-t", "bench:1", context]
        seconds, peak = run_watched(words)
        target = f"oci-archive:{archive}" if archive else f"docker://{push}" if push else None
        if target:
            more = run_watched(["buildah", *self.options, "push", "--tls-verify=false", "bench:1", target])
            seconds, peak = seconds + more[0], max(peak, more[1])
        return seconds, peak

    def forget(self):
        listed = ["images", "-q", "-a", "--filter", "intermediate=true"]
        for image in {*run(["buildah", *self.options, *listed]).split(), "localhost/bench:1"}:
            subprocess.run(["buildah", *map(str, self.options), "rmi", "-f", image], capture_output=True)


PEERS = (Buildkit, Buildah)
