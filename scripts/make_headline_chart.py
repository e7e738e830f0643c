#!/usr/bin/env python3
"""Makes docs/headline.svg, the picture of README.md, from benches/results/mesa-25.0/results.json.

    python3 scripts/make_headline_chart.py

For each layer and each other library: how many times as long as wgrnn its forward pass takes, on the same kind of
device, as medians of one run of benches/peers. Standard library only.
"""

import json
import math
import pathlib

ROOT = pathlib.Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benches" / "results" / "mesa-25.0" / "results.json"
OUT = ROOT / "docs" / "headline.svg"

# Peer, its name in the legend, colour, and the glyph that also tells it apart without colours.
PEERS = {
    "burn": ("burn 0.22", "#b9772f", "circle"),
    "onnxruntime": ("ONNX Runtime 1.31", "#1f6f8b", "square"),
    "torch": ("PyTorch 2.15", "#7a3b8f", "diamond"),
    "candle": ("candle 0.11", "#5b8c3a", "triangle"),
}
PANELS = [
    ("GPU in software (Mesa llvmpipe)", "wgrnn gpu", {"burn": "burn wgpu", "onnxruntime": "onnxruntime webgpu"}),
    ("CPU", "wgrnn cpu", {peer: f"{peer} cpu" for peer in PEERS}),
]
LEFT, WIDTH, GAP, TOP, ROW = 186, 264, 48, 92, 30
LOW, HIGH = 0.5, 100


def glyph(kind, x, y, colour):
    """A mark centred on a point."""
    if kind == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{colour}"/>'
    shapes = {
        "square": [(-4.5, -4.5), (4.5, -4.5), (4.5, 4.5), (-4.5, 4.5)],
        "diamond": [(0, -6), (6, 0), (0, 6), (-6, 0)],
        "triangle": [(0, -6), (5.5, 4.5), (-5.5, 4.5)],
    }
    points = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in shapes[kind])
    return f'<polygon points="{points}" fill="{colour}"/>'


def main():
    results = json.loads(RESULTS.read_text())
    rows = results["shapes"]
    bottom = TOP + ROW * len(rows)
    width, height = LEFT + 2 * WIDTH + GAP + 24, bottom + 96
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="12" fill="#222222">',
        "<title>Forward passes of other libraries, in multiples of wgrnn's time</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        '<text x="16" y="26" font-size="16" font-weight="bold">Time of a forward pass, relative to wgrnn</text>',
        '<text x="16" y="46" fill="#555555">Right of the line: slower than wgrnn. Left of it: faster. '
        "Logarithmic scale.</text>",
    ]
    for panel, (title, own, peers) in enumerate(PANELS):
        left = LEFT + panel * (WIDTH + GAP)

        def place(ratio, left=left):
            return left + WIDTH * math.log(ratio / LOW) / math.log(HIGH / LOW)

        out.append(f'<text x="{left}" y="{TOP - 18}" font-weight="bold">{title}</text>')
        for tick in [0.5, 1, 2, 5, 10, 20, 50, 100]:
            x, line = place(tick), ' stroke="#222222" stroke-width="1.5"' if tick == 1 else ' stroke="#dddddd"'
            out.append(f'<path d="M{x:.1f} {TOP - 8}V{bottom}"{line}/>')
            out.append(f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{tick:g}x</text>')
        for i, row in enumerate(rows):
            y = TOP + ROW * i + ROW / 2
            if panel == 0:
                shape = row["shape"]
                label = f'{row["key"]}, H {shape["hidden"]}, N {shape["batch"]}'
                out.append(f'<text x="{LEFT - 12}" y="{y + 4}" text-anchor="end">{label}</text>')
            for peer, key in peers.items():
                median = row["peers"].get(key, {}).get("forward", {}).get("median")
                if median is not None:
                    ratio = median / row["peers"][own]["forward"]["median"]
                    _, colour, kind = PEERS[peer]
                    out.append(glyph(kind, place(ratio), y, colour))
    x = 16
    for name, colour, kind in PEERS.values():
        out.append(glyph(kind, x + 6, bottom + 42, colour))
        out.append(f'<text x="{x + 18}" y="{bottom + 46}">{name}</text>')
        x += 40 + 7.2 * len(name)
    machine, gpu = results["machine"], results["peers"]["wgrnn gpu"]["banner"]
    caption = f'{machine["cpu"]}, {machine["cores"]} cores; {gpu["driver"]}; {results["date"]}. No hardware GPU was measured.'
    out.append(f'<text x="16" y="{bottom + 76}" fill="#555555">{caption}</text>')
    OUT.write_text("\n".join([*out, "</svg>"]) + "\n")


if __name__ == "__main__":
    main()
