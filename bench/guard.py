"""Tells when Cooper became slower: its processor time for small workloads against that of plain programs doing the same.

A ratio, since both halves are measured in the same minute on the same machine; processor time of the process and all
its children, since a clock depends on what else runs. The least of some rounds counts on either side. `guard.json` holds
the ratios to compare with, by machine: they carry over to another kind of machine only roughly.
"""
import json
import os
import platform
import resource
import shutil
import sys
import time
from pathlib import Path

import machine
from contexts import touch_one, tree
from tools import run as command

KEPT = Path(__file__).with_name("guard.json")
ROUNDS = 7


def place():
    """Where it is done: a tmpfs with room, or None."""
    memory = Path("/dev/shm")
    roomy = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2e9
    return memory if roomy else None


def cpu(work):
    """Seconds of processor time, user and system, of all programs that `work` runs and waits for."""
    spent = lambda: sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    before = spent()
    work()
    return spent() - before


def here():
    """What kind of machine this is."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{len(os.sched_getaffinity(0))} × {model[0] if model else platform.machine()}"


class Case:
    """`dockerfile` on the context `files`; `yardstick`, given the context, is what its time is divided by."""

    def __init__(self, name, title, dockerfile, yardstick, files=None, fresh=True, times=1, change=None, archive=False):
        self.name, self.title, self.dockerfile, self.yardstick, self.files = name, title, dockerfile, yardstick, files
        self.fresh, self.times, self.change, self.archive = fresh, times, change, archive

    def prepare(self, bench):
        self.context = bench.place / f"guard-{self.name}"
        self.context.mkdir()
        (self.context / "Dockerfile").write_text(f"FROM {bench.base.name}\n{self.dockerfile}")
        if self.files:
            self.files(self.context)
            # What was written moments ago is read again by each build; this is about files that are known.
            time.sleep(3)
        bench.cooper.build(self.context)

    def once(self, bench, round_):
        """(Cooper's seconds, the yardstick's)."""
        if self.fresh:
            bench.fresh(bench.cooper)
        if self.change:
            self.change(self.context, round_)
        os.sync()
        archive = bench.place / "guard.tar" if self.archive else None
        ours = cpu(lambda: [bench.cooper.build(self.context, archive=archive) for _ in range(self.times)])
        return ours, cpu(lambda: self.yardstick(self.context))


def cases(bench):
    steps = "".join(f"RUN echo {n} > /f{n}\n" for n in range(11)) + "COPY Dockerfile /d\n"
    stages = "".join(f"FROM {bench.base.name} AS s{n}\nRUN sleep 0.1 && echo {n} > /o\n" for n in range(12))
    stages += f"FROM {bench.base.name}\n" + "".join(f"COPY --from=s{n} /o /o{n}\n" for n in range(12))
    copy_run = "COPY . /app\nRUN ls /app > /list\n"
    starts = lambda _: command(["sh", "-c", "for n in $(seq 200); do /bin/true; done"])
    compressed = lambda context: machine.compress(context, ["gzip", "-6", "-c"])
    return [
        Case("W1", "12 steps, nothing changed, 20 times", steps, starts, fresh=False, times=20),
        Case("W2", "20 × RUN echo", "".join(f"RUN echo {n} > /f{n}\n" for n in range(20)), starts),
        Case("W3", "12 stages of sleep 0.1, COPY of each", stages, starts),
        Case("W4b", "5000 files, nothing changed, 5 times", copy_run, lambda c: [machine.stat_walk(c) for _ in range(5)],
             tree(5000, 30_000_000), fresh=False, times=5),
        Case("W4c", "5000 files, one changed", copy_run, machine.copy_and_hash, tree(5000, 30_000_000), fresh=False,
             change=touch_one),
        Case("W5a", "1500 files, 45 MB: COPY, gzip, to an archive", "COPY . /app\n", compressed, tree(1500, 45_000_000),
             archive=True),
    ]


def run(bench, options):
    """Prints the table; exits with 1 when a ratio is more than --tolerance percent above the one kept."""
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    ratios, wanted = {}, kept.get(here())
    if not (wanted or options.keep):
        wanted = next(iter(kept.values()), {})
        print(f"no ratios are kept for {here()}: those of {next(iter(kept), 'no machine')} stand for them")
    print("\n| workload | cooper | yardstick | ratio | kept | |\n|---|---|---|---|---|---|")
    worse = []
    for case in cases(bench):
        if options.names and case.name not in options.names:
            continue
        case.prepare(bench)
        rounds = [case.once(bench, round_) for round_ in range(ROUNDS)]
        ours, theirs = (min(column) for column in zip(*rounds))
        ratios[case.name] = round(ours / theirs, 3)
        before = (wanted or {}).get(case.name)
        change = 100 * (ratios[case.name] / before - 1) if before else 0.0
        if change > options.tolerance:
            worse.append(f"{case.name} takes {change:.0f} % more than before")
        word = f"{change:+.0f} %" + (" **slower**" if change > options.tolerance else "") if before else "new"
        print(f"| {case.name} {case.title} | {ours:.3f} s | {theirs:.3f} s | {ratios[case.name]:.3f} | {before or '–'} | {word} |",
              flush=True)
    if options.keep:
        kept[here()] = {**(wanted or {}), **ratios}
        KEPT.write_text(json.dumps(kept, indent=2) + "\n")
    elif worse:
        sys.exit("; ".join(worse))
