"""The transfers: images of noise between registries on loopback, stores and OCI layouts. Same shape as the builds.

Images come from the registry `bench.source`, which keeps them, and go to `bench.registry`, which forgets.
"""
import hashlib

import images
import machine
from tools import drop, run


class Transfer:
    """`sizes`: bytes of each layer. `again`: everything is there already."""

    def __init__(self, name, title, image, sizes, again=False):
        self.name, self.title, self.repository, self.sizes, self.again = name, title, image, sizes, again

    def prepare(self, bench):
        made = bench.images.get(self.repository)
        if not made:
            made = bench.images[self.repository] = images.noise(bench.place / self.repository, self.sizes)
            bench.source.seed(self.repository, made)
        self.image, self.source = made, f"{bench.source.address}/{self.repository}:1"

    def before(self, round_):
        pass

    def target(self, bench, mover):
        return f"{bench.registry.address}/{self.repository}/{mover.name}:1"

    def result(self, bench, mover):
        """What is missing after the transfer: nothing, with everybody."""
        self.begin(bench, mover)
        self.once(bench, mover)
        return self.lacks(bench, mover)

    def ready(self, bench, mover):
        if not self.again:
            self.begin(bench, mover)


class Push(Transfer):
    def begin(self, bench, mover):
        if not self.again:
            bench.registry.forget()
        mover.hold(self.source, self.image)
        mover.name_it(self.source, self.target(bench, mover))

    def once(self, bench, mover):
        return mover.push(self.target(bench, mover), self.image)

    def lacks(self, bench, mover):
        return bench.registry.lacks(f"{self.repository}/{mover.name}", self.image)

    def limit(self, bench):
        if self.again:
            return "curl of the manifest's head", machine.ask(bench.source, self.repository)
        bench.registry.forget()
        blobs = [self.image.blob(digest) for digest in self.image.all[1:]]
        return "curl --parallel, uploads begun before", machine.upload(bench.registry, self.repository, blobs)


class Copy(Push):
    def begin(self, bench, mover):
        if not self.again:
            bench.registry.forget()

    def once(self, bench, mover):
        return mover.copy(self.source, self.target(bench, mover))

    def limit(self, bench):
        if self.again:
            return super().limit(bench)
        bench.registry.forget()
        return "curl to curl through pipes", machine.relay(bench.source, bench.registry, self.repository)


class Pull(Transfer):
    """Into an empty store or layout. What is not on disk when the command ends goes there by a sync that is timed, too."""

    turn = 0

    def begin(self, bench, mover):
        self.turn += 1
        if place := self.places.get(mover):
            drop(place)
        self.places[mover] = bench.place / f"{self.name}-{mover.name}-{self.turn}"

    def prepare(self, bench):
        super().prepare(bench)
        self.places = {}

    def once(self, bench, mover):
        return mover.pull(self.source, self.places[mover])

    def until_on_disk(self, mover):
        run(["sync", "-f", self.places[mover]])

    def lacks(self, bench, mover):
        def held(digest):
            found = self.places[mover] / "blobs" / digest.replace(":", "/")
            if not found.exists():
                return False
            with open(found, "rb") as file:
                return digest == "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()

        return [digest for digest in self.image.all if not held(digest)]

    def limit(self, bench):
        if self.again:
            return "curl of the manifest's head", machine.ask(bench.source, self.repository)
        return "curl --parallel, sync", machine.download(bench.source, self.repository, bench.place)


def all_of(scale):
    """All transfers; `scale` makes their images smaller."""
    three = ("three", [int(size * scale) for size in (200e6, 150e6, 80e6)])
    big, small = ("big", [int(1e9 * scale)]), ("small", [20_000] * max(10, int(500 * scale)))
    megabytes, count = int(430 * scale), len(small[1])
    return [
        Pull("W6", f"pull {megabytes} MB in 3 layers", *three),
        Pull("T1", "pull again, everything there", *three, again=True),
        Push("T2", f"push {megabytes} MB in 3 layers", *three),
        Push("T3", "push again, everything there", *three, again=True),
        Copy("T4", f"copy {megabytes} MB from registry to registry", *three),
        Copy("T5", "copy again, everything there", *three, again=True),
        Pull("T6", f"pull one layer of {int(1000 * scale)} MB", *big),
        Push("T7", f"push one layer of {int(1000 * scale)} MB", *big),
        Pull("T8", f"pull {count} layers of 20 kB", *small),
        Push("T9", f"push {count} layers of 20 kB", *small),
        Copy("T10", f"copy {count} layers of 20 kB", *small),
    ]
