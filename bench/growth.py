"""How Cooper's time and memory grow with the size of the work."""
import shutil

import plot
from contexts import one_file, tree


def run(bench, options):
    """Prints a table of all series, and plots them."""
    series = [
        ("W4b unchanged context", "files", [1_000, 10_000, 100_000, 1_000_000], files_unchanged),
        ("W2 RUN steps", "steps", [10, 100, 1000], run_steps),
        ("W3 stages", "stages", [4, 64, 256], stages),
        ("one layer", "MB", [10, 100, 1000, 10_000], one_layer),
        ("layers of an image", "layers", [10, 127, 500], layers),
    ]
    plots = []
    print("\n| series | size | time | memory |\n|---|---|---|---|")
    for title, unit, sizes, work in series:
        if options.names and title.split()[0] not in options.names:
            continue
        points = []
        for size in sizes:
            if size * options.scale < sizes[0]:
                continue
            context = bench.place / f"growth-{len(plots)}-{size}"
            context.mkdir()
            seconds, memory = work(bench, context, size)
            shutil.rmtree(context)
            bench.cooper.forget()
            points.append((size, seconds, memory))
            print(f"| {title} | {size:,} {unit} | {seconds:.3f} s | {memory / 1e6:.0f} MB |", flush=True)
        plots.append((title, f"seconds by {unit}", [(p[0], p[1]) for p in points]))
        plots.append((title, f"MB of memory by {unit}", [(p[0], p[2] / 1e6) for p in points]))
    if options.svg:
        plot.lines(plots, options.svg)


def files_unchanged(bench, context, count):
    (context / "Dockerfile").write_text(f"FROM {bench.base.name}\nCOPY . /app\nRUN ls /app > /list\n")
    tree(count, count * 2000)(context)
    bench.cooper.build(context)
    return bench.cooper.build(context)


def run_steps(bench, context, count):
    steps = "".join(f"RUN echo {n} > /f{n % 50}\n" for n in range(count))
    (context / "Dockerfile").write_text(f"FROM {bench.base.name}\n{steps}")
    return bench.cooper.build(context)


def stages(bench, context, count):
    text = "".join(f"FROM {bench.base.name} AS s{n}\nRUN sleep 0.5 && echo {n} > /o\n" for n in range(count))
    text += f"FROM {bench.base.name}\n" + "".join(f"COPY --from=s{n} /o /o{n}\n" for n in range(count))
    (context / "Dockerfile").write_text(text)
    return bench.cooper.build(context)


def one_layer(bench, context, megabytes):
    (context / "Dockerfile").write_text(f"FROM {bench.base.name}\nCOPY big.dat /\n")
    one_file(megabytes * 1_000_000)(context)
    return bench.cooper.build(context, archive=context / "out.tar")


def layers(bench, context, count):
    steps = "".join(f"COPY f /f{n}\n" for n in range(count))
    (context / "Dockerfile").write_text(f"FROM {bench.base.name}\n{steps}RUN ls / > /list\n")
    (context / "f").write_text("x")
    return bench.cooper.build(context, archive=context / "out.tar")
