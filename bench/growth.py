"""How Cooper's time and memory grow with the size of the work."""
import plot
from contexts import one_file, tree
from movers import Cooper
from tools import drop


def run(bench, options):
    """Prints a table of all series, and plots them."""
    series = [
        ("files", "files", [1_000, 10_000, 100_000, 1_000_000], files),
        ("steps", "steps", [10, 100, 1000], steps),
        ("stages", "stages", [4, 64, 256], stages),
        ("layer", "MB", [10, 100, 1000, 10_000], layer),
        ("layers", "layers", [10, 127, 500], layers),
    ]
    plots = []
    print("\n| series | size | time | memory |\n|---|---|---|---|")
    for name, unit, sizes, work in series:
        if options.names and name not in options.names:
            continue
        points = {}
        for size in sizes:
            if size > max(sizes[0], sizes[-1] * options.scale):
                continue
            context = bench.place / f"growth-{name}-{size}"
            context.mkdir()
            for title, (seconds, memory) in work(bench, context, size):
                points.setdefault(title, []).append((size, seconds, memory / 1e6))
                print(f"| {title} | {size:,} {unit} | {seconds:.3f} s | {memory / 1e6:.0f} MB |", flush=True)
            drop(context)
            bench.cooper.forget()
        for title, found in points.items():
            plots.append((title, f"seconds by {unit}", [(p[0], p[1]) for p in found]))
            plots.append((title, f"MB of memory by {unit}", [(p[0], p[2]) for p in found]))
    if options.svg:
        plot.lines(plots, options.svg)


def files(bench, context, count):
    (context / "Dockerfile").write_text(f"FROM {bench.base.name}\nCOPY . /app\nRUN ls /app > /list\n")
    tree(count, count * 2000)(context)
    yield "W4a first build", bench.cooper.build(context)
    yield "W4b nothing changed", bench.cooper.build(context)


def steps(bench, context, count):
    text = "".join(f"RUN echo {n} > /f{n % 50}\n" for n in range(count))
    (context / "Dockerfile").write_text(f"FROM {bench.base.name}\n{text}")
    yield "W2 RUN steps", bench.cooper.build(context)
    yield "W1 cached steps", bench.cooper.build(context)


def stages(bench, context, count):
    text = "".join(f"FROM {bench.base.name} AS s{n}\nRUN sleep 0.5 && echo {n} > /o\n" for n in range(count))
    text += f"FROM {bench.base.name}\n" + "".join(f"COPY --from=s{n} /o /o{n}\n" for n in range(count))
    (context / "Dockerfile").write_text(text)
    yield "W3 stages", bench.cooper.build(context)


def layer(bench, context, megabytes):
    (context / "Dockerfile").write_text(f"FROM {bench.base.name}\nCOPY big.dat /\n")
    one_file(megabytes * 1_000_000)(context)
    yield "one layer, to an archive", bench.cooper.build(context, archive=context / "out.tar")


def layers(bench, context, count):
    text = "".join(f"COPY f /f{n}\n" for n in range(count - 1))
    (context / "Dockerfile").write_text(f"FROM {bench.base.name}\n{text}RUN ls / > /list\n")
    (context / "f").write_text("x")
    yield "layers, build", bench.cooper.build(context)
    bench.need_registries()
    image = f"{bench.registry.address}/growth/{count}:1"
    yield "layers, push", bench.cooper.build(context, push=image)
    yield "layers, pull", Cooper(bench.place, bench.cooper.binary).pull(image, context / "store")
