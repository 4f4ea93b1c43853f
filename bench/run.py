#!/usr/bin/env python3
"""Cooper's benchmark: the same work by Cooper and by every peer that is installed, side by side.

Each workload is made from a fixed seed and done by every builder in turn (interleaved, --runs times). The results must
be equal before any time counts. Prints a Markdown table: medians, ratio to Cooper, peak memory of Cooper's process, and
what the machine itself needs, measured in the same run. --scale makes the workloads with files smaller.

Peers: buildctl (with a running buildkitd; BUILDKIT_HOST as usual), buildah; crane and skopeo for transfers; docker for
--load. What is not installed or does not answer is named and left out.
"""
import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import bases
import growth
import plot
import workloads
from builders import PEERS, Cooper, Lacks
from registry import Registry

BINARY = bases.REPOSITORY / "target/x86_64-unknown-linux-gnu/release/cooper"


class Bench:
    """What the workloads share: a place, a registry, the base image, Cooper."""

    def __init__(self, place, binary, base, base_images):
        self.place, self.base = place, base
        self.cooper = Cooper(place, binary, base_images)
        self.registry, self._root = None, None

    def base_root(self):
        if self._root is None:
            self._root = bases.unpack(self.base, self.place / "base-root")
        return self._root

    def fresh(self, builder):
        """Makes `builder` forget all it built, but have the base image unpacked, as it mostly is."""
        builder.forget()
        prime = self.place / "prime"
        if not prime.exists():
            prime.mkdir()
            (prime / "Dockerfile").write_text(f"FROM {self.base.name}\nRUN true\n")
        builder.build(prime)

    def need_registry(self):
        if self.registry is None:
            self.registry = Registry(self.place / "registry")

    def close(self):
        if self.registry:
            self.registry.stop()


def reason_to_skip(workload, base):
    if isinstance(workload, (workloads.Push, workloads.Pull)):
        return Registry.missing()
    if isinstance(workload, workloads.Load):
        answers = shutil.which("docker") and subprocess.run(["docker", "version"], capture_output=True).returncode == 0
        return None if answers else "dockerd does not answer"
    if isinstance(workload, workloads.Install):
        return None if base.name == "debian" else "there is no Debian base"
    return None


def able(workload, bench, builders):
    """The builders that do this workload, after their results were found equal."""
    found = {}
    for builder in builders:
        try:
            found[builder] = workload.result(bench, builder)
        except Lacks:
            pass
    ours = found[bench.cooper]
    for builder, theirs in found.items():
        if theirs != ours:
            detail = f"{theirs} against {ours}"
            if isinstance(ours, dict):
                detail = sorted(p for p in set(theirs) | set(ours) if theirs.get(p) != ours.get(p))[:5]
            sys.exit(f"{workload.name}: {builder.name} and cooper disagree: {detail}")
    return list(found)


def measure(workload, bench, builders, runs):
    workload.prepare(bench)
    builders = able(workload, bench, builders)
    times, memory = {builder: [] for builder in builders}, 0
    for round_ in range(runs):
        workload.before(round_)
        for builder in builders:
            seconds, peak = workload.once(bench, builder)
            times[builder].append(seconds)
            memory = max(memory, peak) if builder is bench.cooper else memory
    what, limit = workload.limit(bench)
    shutil.rmtree(bench.place / workload.name, ignore_errors=True)
    return {b.name: statistics.median(found) for b, found in times.items()}, memory, what, limit


def table(rows):
    names = list(dict.fromkeys(name for _, found, *_ in rows for name in found if name != "cooper"))
    print("\n| workload | cooper | memory |" + "".join(f" {name} |" for name in names) + " the machine |")
    print("|---|---|---|" + "---|" * len(names) + "---|")
    for workload, found, memory, what, limit in rows:
        ours = found["cooper"]
        cells = [f"{found[n]:.3f} s ({found[n] / ours:.1f}×)" if n in found else "–" for n in names]
        machine = f"{limit:.3f} s ({what})" if limit else "–"
        print(f"| {workload.name} {workload.title} | {ours:.3f} s | {memory / 1e6:.0f} MB | " + " | ".join([*cells, machine]) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cooper", default=BINARY, type=Path, help="the binary; default: README's release build")
    parser.add_argument("--runs", default=3, type=int)
    parser.add_argument("--scale", default=1.0, type=float)
    parser.add_argument("--place", type=Path, help="a directory on the disk to measure; default: TMPDIR")
    parser.add_argument("--cache", default=bases.REPOSITORY / "target/bench", type=Path, help="where a Debian base is kept")
    parser.add_argument("--svg", type=Path, help="write the plot there")
    parser.add_argument("--alone", action="store_true", help="leave the peers out")
    parser.add_argument("--growth", action="store_true", help="time and memory of Cooper against size, instead")
    parser.add_argument("names", nargs="*", metavar="WORKLOAD", help="only these: W1 W2 W3 W4a ... W8b")
    options = parser.parse_args()
    if not options.cooper.exists():
        sys.exit(f"{options.cooper} does not exist: build it as README.md says, or name it with --cooper")
    base, why = bases.debian(options.cache)
    if why:
        print(f"busybox stands for Debian: {why}")
        base = bases.busybox()
    with tempfile.TemporaryDirectory(prefix="cooper-bench-", dir=options.place, ignore_cleanup_errors=True) as place:
        bench = Bench(Path(place), options.cooper.resolve(), base, [base])
        if options.growth:
            return growth.run(bench, options)
        builders = [bench.cooper]
        for peer in () if options.alone else PEERS:
            missing = peer.missing()
            if missing:
                print(f"left out: {peer.name} ({missing})")
            else:
                builders.append(peer(bench.place, None, [base]))
        rows = []
        try:
            for workload in workloads.all_of(options.scale, base.name):
                if options.names and workload.name not in options.names:
                    continue
                why = reason_to_skip(workload, base)
                if why:
                    print(f"left out: {workload.name} ({why})")
                    continue
                if isinstance(workload, (workloads.Push, workloads.Pull)):
                    bench.need_registry()
                rows.append((workload, *measure(workload, bench, builders, options.runs)))
                print(f"{workload.name}: " + ", ".join(f"{n} {t:.3f} s" for n, t in rows[-1][1].items()), flush=True)
        finally:
            bench.close()
        table(rows)
        if options.svg:
            plot.bars([(f"{w.name} {w.title}", {**found, **({"machine": limit} if limit else {})})
                       for w, found, _, _, limit in rows], options.svg)


if __name__ == "__main__":
    main()
