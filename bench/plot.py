"""Plots as SVG, without a library."""
import math

COLOURS = ["#2563eb", "#d97706", "#6b7280", "#059669", "#9333ea", "#111827"]


def document(width, height, body):
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" '
            f'font-size="12"><rect width="100%" height="100%" fill="white"/>{body}</svg>\n')


def bars(rows, path):
    """Horizontal bars on a logarithmic scale. `rows`: (title, {name: seconds})."""
    width, bar, left, low = 520, 13, 200, 1e-3
    high = max(t for _, found in rows for t in found.values()) * 1.5
    scale = lambda t: max(1, math.log10(max(t, low) / low) / math.log10(high / low) * width)
    names = list(dict.fromkeys(name for _, found in rows for name in found))
    parts, y = ['<text x="4" y="16" fill="#6b7280">seconds on a logarithmic scale; shorter is better</text>'], 30
    for title, found in rows:
        parts.append(f'<text x="4" y="{y + 11}" font-weight="bold">{title}</text>')
        y += 18
        for name, seconds in found.items():
            colour = COLOURS[names.index(name) % len(COLOURS)]
            parts.append(f'<text x="{left - 6}" y="{y + 11}" text-anchor="end">{name}</text>'
                         f'<rect x="{left}" y="{y}" width="{scale(seconds):.0f}" height="{bar}" fill="{colour}"/>'
                         f'<text x="{left + scale(seconds) + 4:.0f}" y="{y + 11}">{seconds:.3f} s</text>')
            y += bar + 3
        y += 8
    path.write_text(document(left + width + 80, y, "".join(parts)))


def lines(series, path):
    """Log-log lines. `series`: (title, unit, [(size, value)]), each a small plot of its own, side by side."""
    side, margin = 200, 60
    parts = ['<text x="4" y="16" fill="#6b7280">both axes logarithmic; dashed: growth in proportion to the size</text>']
    for number, (title, unit, points) in enumerate(series):
        column, line = number % 4, number // 4
        x0, y0 = column * (side + margin) + margin, line * (side + 2 * margin) + margin
        xs, ys = [p[0] for p in points], [max(p[1], 1e-4) for p in points]
        span = lambda values: (math.log10(min(values)), max(math.log10(max(values)), math.log10(min(values)) + 0.5))
        (xl, xh), (yl, yh) = span(xs), span(ys)
        px = lambda v: x0 + (math.log10(v) - xl) / (xh - xl) * side
        py = lambda v: y0 + side - (math.log10(v) - yl) / (yh - yl) * side
        parts.append(f'<text x="{x0}" y="{y0 - 24}" font-weight="bold">{title}</text>'
                     f'<rect x="{x0}" y="{y0}" width="{side}" height="{side}" fill="none" stroke="#9ca3af"/>')
        way = " ".join(f"{px(x):.0f},{py(y):.0f}" for x, y in zip(xs, ys))
        parts.append(f'<polyline points="{way}" fill="none" stroke="{COLOURS[0]}" stroke-width="2"/>')
        # What is linear from the first point on, as far as it is inside.
        parts.append(f'<clipPath id="c{number}"><rect x="{x0}" y="{y0}" width="{side}" height="{side}"/></clipPath>'
                     f'<line x1="{px(xs[0]):.0f}" y1="{py(ys[0]):.0f}" x2="{px(xs[-1]):.0f}" '
                     f'y2="{py(ys[0] * xs[-1] / xs[0]):.0f}" stroke="{COLOURS[1]}" stroke-dasharray="4" '
                     f'clip-path="url(#c{number})"/>')
        for x, y in zip(xs, ys):
            parts.append(f'<circle cx="{px(x):.0f}" cy="{py(y):.0f}" r="3" fill="{COLOURS[0]}"/>'
                         f'<text x="{px(x):.0f}" y="{py(y) - 6:.0f}" text-anchor="middle">{y:.3g}</text>'
                         f'<text x="{px(x):.0f}" y="{y0 + side + 16}" text-anchor="middle">{x:,}</text>')
        parts.append(f'<text x="{x0}" y="{y0 - 8}" fill="#6b7280">{unit}</text>')
    rows = (len(series) + 3) // 4
    path.write_text(document(4 * (side + margin) + margin, rows * (side + 2 * margin), "".join(parts)))
