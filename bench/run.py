#!/usr/bin/env python3
"""Cooper's benchmark: the same work by Cooper and by every peer that is installed, side by side.

usage: bench/run.py [--cooper PATH] [--runs N] [--scale F] [--svg FILE] [WORKLOAD ...]

Each workload is made from a fixed seed, built by every builder in turn (interleaved, N times), and compared: the
resulting file trees must be equal before any time counts. Prints a Markdown table with medians, the ratio to Cooper, and
the workload's physical limit as measured on this machine in the same run. --scale makes the file workloads smaller.

Peers: buildctl (with a running buildkitd; BUILDKIT_HOST as usual), buildah, and for transfers skopeo. What is not
installed or does not answer is named and left out.
"""
import argparse, hashlib, io, json, os, random, shutil, statistics, subprocess, sys, tarfile, tempfile, time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
BASE = REPOSITORY / "testdata" / "base"
SEED = 20261125


def run(command, **options):
    """Runs a command; its output is shown only if it fails."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    if done.returncode:
        sys.exit(f"failed: {' '.join(map(str, command))}\n{done.stdout.decode(errors='replace')[-4000:]}")
    return done.stdout.decode(errors="replace")


def timed(work):
    start = time.monotonic()
    work()
    return time.monotonic() - start


class Workload:
    """A context, a Dockerfile, and what is changed or removed before each timed build."""

    def __init__(self, name, title, dockerfile, files=None, change=None, warm=False, limit=None):
        self.name, self.title, self.dockerfile = name, title, dockerfile
        self.files, self.change, self.warm, self.limit = files, change, warm, limit

    def make(self, where):
        where.mkdir(parents=True)
        (where / "Dockerfile").write_text(self.dockerfile)
        if self.files:
            self.files(where)


def tree(count, total_bytes):
    """`count` files of about total_bytes together, half text-like, in directories of 50."""

    def make(where):
        rng = random.Random(SEED)
        average = total_bytes // count
        words = [bytes(rng.choices(b"abcdefghijklmnopqrstuvwxyz_(){};= \n", k=rng.randint(3, 12))) for _ in range(4000)]
        for n in range(count):
            folder = where / "src" / f"d{n // 50 // 20}" / f"e{n // 50 % 20}"
            folder.mkdir(parents=True, exist_ok=True)
            size = rng.randint(average // 2, average * 3 // 2)
            if n % 2:
                content = b" ".join(rng.choices(words, k=size // 8 + 1))[:size]
            else:
                content = rng.randbytes(size)
            (folder / f"f{n}.dat").write_bytes(content)

    return make


def touch_one(context, round_):
    path = context / "src" / "d0" / "e0" / "f0.dat"
    path.write_bytes(f"changed {round_}\n".encode())


def stat_walk(context):
    for folder, _, names in os.walk(context):
        for name in names:
            os.lstat(os.path.join(folder, name))


def read_and_hash(context):
    digest = hashlib.sha256()
    for folder, _, names in os.walk(context):
        for name in sorted(names):
            with open(os.path.join(folder, name), "rb") as file:
                digest.update(file.read())


def workloads(scale):
    files = max(100, int(20_000 * scale))
    context_bytes = int(120e6 * scale)
    w2 = "FROM busybox\n" + "".join(f"RUN echo {n} > /f{n}\n" for n in range(50))
    w3 = "".join(f"FROM busybox AS s{n}\nRUN sleep 0.5 && echo {n} > /o\n" for n in range(16))
    w3 += "FROM busybox\n" + "".join(f"COPY --from=s{n} /o /o{n}\n" for n in range(16))
    w1 = "FROM busybox\n" + "".join(f"RUN echo {n} > /f{n}\n" for n in range(11)) + "COPY Dockerfile /d\n"
    w4 = "FROM busybox\nCOPY . /app\nRUN ls /app > /list\n"
    source = tree(files, context_bytes)
    return [
        Workload("W1", "12 steps, nothing changed", w1, warm=True),
        Workload("W2", "50 × RUN echo, uncached", w2),
        Workload("W3", "16 stages of sleep 0.5, uncached", w3),
        Workload("W4a", f"{files} files, COPY then RUN, cold", w4, source, limit=read_and_hash),
        Workload("W4b", f"{files} files, nothing changed", w4, source, warm=True, limit=stat_walk),
        Workload("W4c", f"{files} files, one changed", w4, source, change=touch_one, warm=True, limit=stat_walk),
    ]


class Cooper:
    name = "cooper"

    def __init__(self, place, binary):
        self.store, self.binary = place / "cooper-store", binary

    def build(self, context, dest=None):
        command = [self.binary, "--root", self.store, "build", "--progress=quiet",
                   "--build-context", f"busybox=oci-layout://{BASE}", "-t", "bench:1"]
        command += ["--output", f"type=oci,dest={dest}"] if dest else []
        run([*command, context])

    def forget(self):
        run([self.binary, "--root", self.store, "prune", "--all"])


class Buildkit:
    name = "buildkit"

    def __init__(self, place):
        pass

    @staticmethod
    def missing():
        if not shutil.which("buildctl"):
            return "buildctl is not installed"
        return None if subprocess.run(["buildctl", "debug", "workers"], capture_output=True).returncode == 0 else \
            "buildkitd does not answer"

    def build(self, context, dest=None):
        command = ["buildctl", "build", "--progress=plain", "--frontend", "dockerfile.v0", "--local", f"context={context}",
                   "--local", f"dockerfile={context}", "--oci-layout", f"base={BASE}",
                   "--opt", f"context:busybox=oci-layout://base@{base_digest()}"]
        command += ["--output", f"type=oci,dest={dest}"] if dest else []
        run(command)

    def forget(self):
        run(["buildctl", "prune", "--all"])


class Buildah:
    name = "buildah"

    def __init__(self, place):
        self.options = ["--root", place / "buildah", "--runroot", place / "buildah-run"]
        run(["buildah", *self.options, "pull", f"oci:{BASE}:latest"])
        image = run(["buildah", *self.options, "images", "-q"]).split()[0]
        run(["buildah", *self.options, "tag", image, "localhost/busybox:latest"])

    @staticmethod
    def missing():
        return None if shutil.which("buildah") else "buildah is not installed"

    def build(self, context, dest=None):
        runtime = ["--runtime", "runc"] if shutil.which("runc") else []
        run(["buildah", *self.options, "build", *runtime, "--layers", "-t", "bench:1", context])
        if dest:
            run(["buildah", *self.options, "push", "bench:1", f"oci-archive:{dest}"])

    def forget(self):
        for image in set(run(["buildah", *self.options, "images", "-q", "--filter", "intermediate=true", "-a"]).split()):
            subprocess.run(["buildah", *self.options, "rmi", "-f", image], capture_output=True)
        subprocess.run(["buildah", *self.options, "rmi", "-f", "localhost/bench:1"], capture_output=True)


def base_digest():
    return json.loads((BASE / "index.json").read_text())["manifests"][0]["digest"]


def files_of(archive):
    """Path -> (type, mode, digest) of the merged layers of an OCI archive."""
    out = {}
    with tarfile.open(archive) as tar:
        read = lambda digest: tar.extractfile("blobs/" + digest.replace(":", "/")).read()
        manifest = json.loads(read(json.loads(tar.extractfile("index.json").read())["manifests"][0]["digest"]))
        for layer in manifest["layers"]:
            with tarfile.open(fileobj=io.BytesIO(read(layer["digest"]))) as inner:
                for member in inner:
                    content = hashlib.sha256(inner.extractfile(member).read()).hexdigest() if member.isfile() else ""
                    out[os.path.normpath("/" + member.name)] = (member.type, member.mode & 0o7777, content)
    # Mount points that some builders leave in the image.
    stubs = ("/proc", "/sys", "/dev", "/run", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf")
    return {path: entry for path, entry in out.items() if path not in ("/", "/etc") and not path.startswith(stubs)}


def measure(workload, builders, place, runs):
    context = place / workload.name / "context"
    workload.make(context)
    trees = {}
    for builder in builders:
        archive = place / workload.name / f"{builder.name}.tar"
        builder.build(context, archive)
        trees[builder.name] = files_of(archive)
    for name, found in trees.items():
        wrong = {p for p in set(found) | set(trees["cooper"]) if found.get(p) != trees["cooper"].get(p)}
        if wrong:
            sys.exit(f"{workload.name}: {name} and cooper disagree about {sorted(wrong)[:5]}")
    times = {builder.name: [] for builder in builders}
    for round_ in range(runs):
        if workload.change:
            workload.change(context, round_)
        for builder in builders:
            if not workload.warm:
                builder.forget()
            times[builder.name].append(timed(lambda: builder.build(context)))
    limit = min(timed(lambda: workload.limit(context)) for _ in range(3)) if workload.limit else None
    return {name: statistics.median(found) for name, found in times.items()}, limit


def svg(rows, builders, path):
    """Horizontal bars on a logarithmic scale."""
    import math
    width, bar, left = 560, 14, 250
    low, high = 1e-3, max(t for _, found, _ in rows for t in found.values()) * 1.5
    place = lambda t: max(1, (math.log10(max(t, low)) - math.log10(low)) / (math.log10(high) - math.log10(low)) * width)
    colours = ["#2563eb", "#d97706", "#6b7280"]
    parts, y = [], 24
    for workload, found, _ in rows:
        parts.append(f'<text x="4" y="{y + 11}" font-weight="bold">{workload.name} {workload.title}</text>')
        y += 18
        for builder, colour in zip(builders, colours):
            seconds = found[builder.name]
            parts.append(f'<text x="{left - 6}" y="{y + 11}" text-anchor="end">{builder.name}</text>'
                         f'<rect x="{left}" y="{y}" width="{place(seconds):.0f}" height="{bar}" fill="{colour}"/>'
                         f'<text x="{left + place(seconds) + 4:.0f}" y="{y + 11}">{seconds:.3f} s</text>')
            y += bar + 3
        y += 8
    body = "".join(parts)
    path.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 90}" height="{y}" '
                    f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>{body}</svg>\n')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cooper", default=REPOSITORY / "target/x86_64-unknown-linux-gnu/release/cooper", type=Path)
    parser.add_argument("--runs", default=5, type=int)
    parser.add_argument("--scale", default=1.0, type=float)
    parser.add_argument("--svg", type=Path)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    if not options.cooper.exists():
        sys.exit(f"{options.cooper} does not exist: build it as README.md says, or name it with --cooper")
    with tempfile.TemporaryDirectory(prefix="cooper-bench-", ignore_cleanup_errors=True) as place:
        place = Path(place)
        builders = [Cooper(place, options.cooper)]
        for peer in (Buildkit, Buildah):
            why = peer.missing()
            if why:
                print(f"left out: {peer.name} ({why})")
            else:
                builders.append(peer(place))
        rows = []
        for workload in workloads(options.scale):
            if options.names and workload.name not in options.names:
                continue
            found, limit = measure(workload, builders, place, options.runs)
            rows.append((workload, found, limit))
        print("\n| workload | limit |" + "".join(f" {b.name} |" for b in builders))
        print("|---|---|" + "---|" * len(builders))
        for workload, found, limit in rows:
            cells = [f"{found['cooper']:.3f} s"]
            cells += [f"{found[b.name]:.3f} s ({found[b.name] / found['cooper']:.1f}×)" for b in builders[1:]]
            print(f"| {workload.name} {workload.title} | {'–' if limit is None else f'{limit:.3f} s'} | " + " | ".join(cells) + " |")
        if options.svg:
            svg(rows, builders, options.svg)


if __name__ == "__main__":
    main()
