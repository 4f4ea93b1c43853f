"""The builds. Each has a name, a title, `prepare`, `result` (equal for all), `ready` (before a turn) and `once` (timed)."""
import os

import machine
from contexts import touch_one, tree
from registry import files_of_archive
from tools import run, scratch, timed


class Workload:
    """A build whose result stays with the builder."""

    warm = False

    def __init__(self, name, title, dockerfile, files=None):
        self.name, self.title, self.dockerfile, self.files = name, title, dockerfile, files

    def prepare(self, bench):
        (bench.place / self.name).mkdir()
        # W4a, W4b and W4c have the same files.
        self.context = bench.place / f"context-{self.name.rstrip('abc')}"
        if not self.context.exists():
            self.context.mkdir()
            (self.context / "Dockerfile").write_text(self.dockerfile)
            if self.files:
                self.files(self.context)

    def result(self, bench, builder):
        """The files of what `builder` makes of it."""
        archive = bench.place / self.name / f"{builder.name}.tar"
        builder.build(self.context, archive=archive)
        try:
            return files_of_archive(archive)
        finally:
            archive.unlink()

    def before(self, round_):
        """What happens once before each round."""

    def ready(self, bench, builder):
        """What happens before each turn, untimed."""
        if not self.warm:
            bench.fresh(builder)

    def once(self, bench, builder):
        return builder.build(self.context)

    def limit(self, bench):
        """(what it is, seconds or None)"""
        return "", None


class NoChange(Workload):
    warm = True

    def limit(self, bench):
        return "start of `true`", machine.true()


class Runs(Workload):
    def limit(self, bench):
        count = self.dockerfile.count("RUN ")
        return f"{count} × clone, mount, exec", machine.containers(count, bench.base_root()) if machine.have_root() else None


class Sleeps(Workload):
    def limit(self, bench):
        return "the sleeps at once", machine.sleepers(self.dockerfile.count("sleep 0.5"), 0.5)


class ColdContext(Workload):
    def limit(self, bench):
        return "cp -r beside tar, sha256sum", machine.copy_and_hash(self.context)


class WarmContext(Workload):
    warm = True

    def limit(self, bench):
        return "find -printf of all files", machine.stat_walk(self.context)


class OneChanged(WarmContext):
    def before(self, round_):
        touch_one(self.context, round_)


class Push(Workload):
    """From nothing to a registry on loopback."""

    def __init__(self, *words, compression):
        super().__init__(*words)
        self.compression = compression

    def image(self, bench, builder):
        return f"{bench.registry.address}/{self.name.lower()}/{builder.name}:1"

    def result(self, bench, builder):
        bench.fresh(builder)
        builder.build(self.context, push=self.image(bench, builder), compression=self.compression)
        return bench.registry.files(f"{self.name.lower()}/{builder.name}")

    def ready(self, bench, builder):
        bench.fresh(builder)
        bench.registry.forget()

    def once(self, bench, builder):
        return builder.build(self.context, push=self.image(bench, builder), compression=self.compression)

    def limit(self, bench):
        if self.compression == "zstd":
            return "tar, zstd -T0 -3", machine.compress(self.context, ["zstd", "-T0", "-3", "-c"])
        return "tar, pigz -6", machine.compress(self.context, ["pigz", "-6", "-c"])


class Install(Workload):
    """A package installation, which depends on the mirror as much as on the builder."""

    script = "apt-get update && apt-get install -y --no-install-recommends curl ca-certificates git"

    def result(self, bench, builder):
        archive = bench.place / self.name / f"{builder.name}.tar"
        builder.build(self.context, archive=archive)
        try:
            return "/usr/bin/git" in files_of_archive(archive)
        finally:
            archive.unlink()

    def ready(self, bench, builder):
        super().ready(bench, builder)
        # Freeing what the last turn wrote is nobody's work.
        (bench.place / self.name / "timed.tar").unlink(missing_ok=True)

    def once(self, bench, builder):
        return builder.build(self.context, archive=bench.place / self.name / "timed.tar")

    def limit(self, bench):
        if not machine.have_root():
            return "", None
        return "the command in a chroot", machine.command_in_root(bench.base_root(), self.script)


class Load(Workload):
    """From nothing into a dockerd that has nothing."""

    def result(self, bench, builder):
        if not (self.warm and bench.dockerd):
            bench.fresh_dockerd()
        tag = f"bench-{builder.name}:1"
        builder.build(self.context, load=tag)
        return run(["docker", "run", "--rm", "--network=none", tag, "sh", "-c", "find /app -type f | wc -l"]).strip()

    def ready(self, bench, builder):
        super().ready(bench, builder)
        if not self.warm:
            bench.fresh_dockerd()

    def once(self, bench, builder):
        return builder.build(self.context, load=f"bench-{builder.name}:1")

    def limit(self, bench):
        with scratch(bench.place) as place:
            archive = place / "image.tar"
            bench.cooper.build(self.context, archive=archive, form="docker")
            bench.fresh_dockerd()
            os.sync()
            return "docker load of the archive", timed(lambda: run(["docker", "load", "-i", archive]))


class LoadAgain(Load):
    warm = True

    def limit(self, bench):
        return "find -printf of all files", machine.stat_walk(self.context)


def all_of(scale, base):
    """All builds on the base image named `base`; `scale` makes those with files smaller."""
    files, size = max(100, int(20_000 * scale)), int(120e6 * scale)
    many, much = max(100, int(31_700 * scale)), int(940e6 * scale)
    start = f"FROM {base}\n"
    echoes = "".join(f"RUN echo {n} > /f{n}\n" for n in range(50))
    stages = "".join(f"FROM {base} AS s{n}\nRUN sleep 0.5 && echo {n} > /o\n" for n in range(16))
    stages += start + "".join(f"COPY --from=s{n} /o /o{n}\n" for n in range(16))
    steps = start + "".join(f"RUN echo {n} > /f{n}\n" for n in range(11)) + "COPY Dockerfile /d\n"
    copy, copy_run = start + "COPY . /app\n", start + "COPY . /app\nRUN ls /app > /list\n"
    context, large = tree(files, size), tree(many, much)
    return [
        NoChange("W1", "12 steps, nothing changed", steps),
        Runs("W2", "50 × RUN echo", start + echoes),
        Sleeps("W3", "16 stages of sleep 0.5, COPY of each", stages),
        ColdContext("W4a", f"{files} files: COPY, RUN", copy_run, context),
        WarmContext("W4b", f"{files} files, nothing changed", copy_run, context),
        OneChanged("W4c", f"{files} files, one changed", copy_run, context),
        Push("W5a", f"{many} files, {much // 1_000_000} MB: COPY, gzip, push", copy, large, compression="gzip"),
        Push("W5b", f"{many} files, {much // 1_000_000} MB: COPY, zstd, push", copy, large, compression="zstd"),
        Install("W7", "apt-get install curl git", start + f"RUN {Install.script}\n"),
        Load("W8a", f"{much // 1_000_000} MB: COPY, --load", copy, large),
        LoadAgain("W8b", f"{much // 1_000_000} MB: --load again", copy, large),
    ]


