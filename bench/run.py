#!/usr/bin/env python3
"""Cooper's benchmark: the same work by Cooper and by every peer that is installed, side by side.

Each workload is made from a fixed seed and done by every builder in turn (interleaved, --runs times). The results must
be equal before any time counts. Prints a Markdown table: medians, ratio to Cooper, peak memory of Cooper's process, and
what the machine itself needs, measured in the same run. --scale makes the workloads with files smaller.

Peers: buildctl (with a running buildkitd; BUILDKIT_HOST as usual), buildah; crane and skopeo for transfers; dockerd for
--load. What is not installed or does not answer is named and left out.
"""
import argparse
import os
import shutil
import signal
import statistics
import sys
import tempfile
from pathlib import Path

import bases
import builders
import growth
import guard
import movers
import plot
import transfers
import workloads
from dockerd import Dockerd
from registry import Registry
from tools import drop, timed

BINARY = bases.REPOSITORY / "target/x86_64-unknown-linux-gnu/release/cooper"


class Bench:
    """What the workloads share: a place, a base image, Cooper, registries."""

    def __init__(self, place, binary, base):
        self.place, self.base, self.images = place, base, {}
        self.cooper = builders.Cooper(place, binary, [base])
        self.registry = self.source = self.dockerd = self._root = None

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

    def need_registries(self):
        if self.registry is None:
            self.registry, self.source = Registry(self.place / "registry"), Registry(self.place / "source")

    def fresh_dockerd(self):
        self.dockerd = self.dockerd or Dockerd(self.place / "dockerd")
        self.dockerd.fresh()

    def close(self):
        for daemon in (self.registry, self.source, self.dockerd):
            if daemon:
                daemon.stop()


def needs_registry(workload):
    return isinstance(workload, (workloads.Push, transfers.Transfer))


def reason_to_skip(workload, base):
    if needs_registry(workload):
        return Registry.missing()
    if isinstance(workload, workloads.Load):
        return Dockerd.missing()
    if isinstance(workload, workloads.Install):
        return None if base.name == "debian" else "there is no Debian base"
    return None


def able(workload, bench, candidates):
    """Those that do this workload, after their results were found equal to Cooper's, the first."""
    found = {}
    for one in candidates:
        try:
            found[one] = workload.result(bench, one)
        except builders.Lacks:
            pass
    ours = found[candidates[0]]
    for one, theirs in found.items():
        if theirs != ours:
            detail = f"{theirs} against {ours}"
            if isinstance(ours, dict):
                detail = sorted(p for p in set(theirs) | set(ours) if theirs.get(p) != ours.get(p))[:5]
            sys.exit(f"{workload.name}: {one.name} and cooper disagree: {detail}")
    return list(found)


def measure(number, workload, bench, candidates, runs):
    """Rows of the table: (workload, title, {name: median seconds}, Cooper's peak memory, what the limit is, its seconds)."""
    workload.prepare(bench)
    candidates = able(workload, bench, candidates)
    times, on_disk, memory = {one: [] for one in candidates}, {one: [] for one in candidates}, 0
    for round_ in range(runs):
        workload.before(round_)
        # Everybody is first in turn, and pays for nobody else's unwritten pages.
        first = (round_ + number) % len(candidates)
        for one in candidates[first:] + candidates[:first]:
            workload.ready(bench, one)
            os.sync()
            seconds, peak = workload.once(bench, one)
            times[one].append(seconds)
            if isinstance(workload, transfers.Pull):
                on_disk[one].append(seconds + timed(lambda: workload.until_on_disk(one)))
            memory = max(memory, peak) if one.name == "cooper" else memory
    os.sync()
    what, limit = workload.limit(bench)
    if (bench.place / workload.name).exists():
        drop(bench.place / workload.name)
    medians = lambda found: {one.name: statistics.median(each) for one, each in found.items() if each}
    rows = [(workload.name, workload.title, medians(times), memory, what, limit)]
    if medians(on_disk) and not workload.again:
        rows.append((workload.name, "the same, until it is on disk", medians(on_disk), memory, what, limit))
    return rows


def table(rows):
    names = list(dict.fromkeys(name for _, _, found, *_ in rows for name in found if name != "cooper"))
    print("\n| workload | cooper | memory |" + "".join(f" {name} |" for name in names) + " the machine |")
    print("|---|---|---|" + "---|" * len(names) + "---|")
    for name, title, found, memory, what, limit in rows:
        ours = found["cooper"]
        cells = [f"{found[n]:.3f} s ({found[n] / ours:.1f}×)" if n in found else "–" for n in names]
        machine = f"{limit:.3f} s ({what})" if limit else "–"
        print(f"| {name} {title} | {ours:.3f} s | {memory / 1e6:.0f} MB | " + " | ".join([*cells, machine]) + " |")


def present(peers, *arguments):
    """The peers that can be used here; the others are named."""
    for peer in peers:
        missing = peer.missing()
        if missing:
            print(f"left out: {peer.name} ({missing})")
        else:
            yield peer(*arguments)


def compare(bench, options):
    peers = () if options.alone else builders.PEERS, () if options.alone else movers.PEERS
    build = [bench.cooper, *present(peers[0], bench.place, [bench.base])]
    move = [movers.Cooper(bench.place, bench.cooper.binary), *present(peers[1])]
    rows = []
    for number, workload in enumerate([*workloads.all_of(options.scale, bench.base.name), *transfers.all_of(options.scale)]):
        if options.names and workload.name not in options.names:
            continue
        why = reason_to_skip(workload, bench.base)
        if why:
            print(f"left out: {workload.name} ({why})")
            continue
        if needs_registry(workload):
            bench.need_registries()
        candidates = move if isinstance(workload, transfers.Transfer) else build
        for row in measure(number, workload, bench, candidates, options.runs):
            rows.append(row)
            print(f"{row[0]} {row[1]}: " + ", ".join(f"{n} {t:.3f} s" for n, t in row[2].items()), flush=True)
    table(rows)
    if options.svg:
        plot.bars([(f"{name} {title}", {**found, **({"machine": limit} if limit else {})})
                   for name, title, found, _, _, limit in rows], options.svg)


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
    parser.add_argument("--guard", action="store_true", help="instead: exits with 1 if Cooper is slower than guard.json says")
    parser.add_argument("--keep", action="store_true", help="with --guard: writes what was found to guard.json")
    parser.add_argument("--tolerance", default=30, type=float, metavar="PERCENT", help="how much more --guard allows")
    parser.add_argument("names", nargs="*", metavar="WORKLOAD",
                        help="only these: W1 W2 ... W8b T1 ... T10; of --growth: files steps stages layer layers")
    options = parser.parse_args()
    if not options.cooper.exists():
        sys.exit(f"{options.cooper} does not exist: build it as README.md says, or name it with --cooper")
    # Terminated by a signal, it still ends the registries and removes its files.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    base, why = (bases.busybox(), None) if options.guard else bases.debian(options.cache)
    if why:
        print(f"busybox stands for Debian: {why}")
        base = bases.busybox()
    where = options.place or (guard.place() if options.guard else None)
    with tempfile.TemporaryDirectory(prefix="cooper-bench-", dir=where, ignore_cleanup_errors=True) as place:
        bench = Bench(Path(place), options.cooper.resolve(), base)
        try:
            return (guard.run if options.guard else growth.run if options.growth else compare)(bench, options)
        finally:
            bench.close()


if __name__ == "__main__":
    main()
