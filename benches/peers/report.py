"""What run.py found, as a Markdown table and as a picture."""

import math

# Colours that differ in hue and in lightness; a library has one on whatever device.
COLOURS = {"wgrnn": "#d62728", "burn": "#1f77b4", "candle": "#8c6d1f", "onnxruntime": "#2ca02c", "torch": "#9467bd"}
MARKERS = {"wgrnn": "o", "burn": "s", "candle": "v", "onnxruntime": "D", "torch": "^", "torch cuda-tf32": ">"}
OPERATIONS = {"forward": "Forward pass", "training": "Forward and backward pass"}


def marker(name):
    return MARKERS.get(name) or MARKERS.get(name.split()[0], "x")


def milliseconds(seconds):
    """Three digits, no exponent."""
    value = seconds * 1e3
    if value == 0:
        return "0"
    return f"{value:.{max(0, 2 - math.floor(math.log10(value)))}f}"


def adapters(results):
    """The names of the GPU peers' adapters, wgrnn's first."""
    found = []
    for peer in results["peers"].values():
        adapter = peer.get("banner", {}).get("adapter")
        if peer["kind"] == "gpu" and adapter and "does not name" not in adapter and adapter not in found:
            found.append(adapter)
    return found


def title(results):
    machine = results["machine"]
    gpu = ", ".join(adapters(results)) or "no GPU"
    return f"{gpu}; {machine['cpu']}, {machine['cores']} cores"


def shown(results):
    """Peers that have run, those on the GPU first."""
    found = [(name, peer["kind"]) for name, peer in results["peers"].items() if "banner" in peer]
    return sorted(found, key=lambda peer: peer[1] != "gpu")


def unsteady(entry):
    return entry["status"] == "ok" and entry["count"] > 2 and entry["median"] > 2 * entry["min"]


def cell(entry, own):
    """A peer's time, and how many times wgrnn's on the same kind of device it is."""
    if entry is None:
        return ""
    if "median" not in entry or entry["status"] != "ok":
        return entry["status"]
    text = milliseconds(entry["median"])
    if entry.get("reason"):
        text += "*"
    if unsteady(entry):
        text += " ~"
    if own is not None:
        text += (
            f" ({entry['median'] / own:.2g}x)" if entry["median"] / own < 100 else f" ({entry['median'] / own:.0f}x)"
        )
    return text


def median(shape, name, op):
    entry = shape["peers"].get(name, {}).get(op) or {}
    return entry.get("median") if entry.get("status") == "ok" else None


def table(results, op):
    columns = shown(results)
    lines = ["| shape | I, H | N, T | L, D | " + " | ".join(name for name, _ in columns) + " |"]
    lines.append("| --- | --- | --- | --- |" + " ---: |" * len(columns))
    for shape in results["shapes"]:
        s = shape["shape"]
        cells = []
        for name, kind in columns:
            own = None if name.startswith("wgrnn") else median(shape, f"wgrnn {kind}", op)
            cells.append(cell(shape["peers"].get(name, {}).get(op), own))
        sizes = f"{s['input']}, {s['hidden']} | {s['batch']}, {s['steps']} | {s['layers']}, {s['directions']}"
        lines.append(f"| {shape['key']} | {sizes} | {' | '.join(cells)} |")
    return "\n".join(lines)


def notes(results):
    """Every word in the tables that is not a time, with its reason and where it stands."""
    found = {}
    for name, peer in results["peers"].items():
        if "unavailable" in peer:
            found[f"{name}: unavailable: {peer['unavailable']}"] = []
    for shape in results["shapes"]:
        for name, peer in shape["peers"].items():
            for op in OPERATIONS:
                entry = peer.get(op) or {}
                if "median" in entry and unsteady(entry):
                    text = "~: the median is more than twice the fastest run. Was the machine busy?"
                    found.setdefault(text, []).append(f"{name} on {shape['key']}, {op}")
                if entry.get("reason"):
                    mark = "*" if entry["status"] == "ok" else entry["status"]
                    found.setdefault(f"{name}: {op}: {mark}: {entry['reason']}", []).append(shape["key"])
    everywhere = len(results["shapes"])
    lines = []
    for text, keys in found.items():
        where = "" if not keys or (len(keys) == everywhere and text[0] != "~") else f" ({'; '.join(keys)})"
        lines.append(f"- {text}{where}")
    return lines


def markdown(results):
    machine = results["machine"]
    trained = any(peer.get("training") for shape in results["shapes"] for peer in shape["peers"].values())
    parts = [
        f"# {title(results)}",
        f"{machine['os']}, {results['date']}. Medians in ms, of at most {results['rounds']} rounds.",
    ]
    if machine.get("load") is not None:
        parts[-1] += f" Load average before: {machine['load']}."
    parts[-1] += " In brackets: times wgrnn's on the same kind of device, so that more than 1x is slower than wgrnn."
    parts[-1] += " I, H: input features, hidden units; N, T: sequences, steps; L, D: layers, directions."
    about = ["| peer | version | adapter | driver |", "| --- | --- | --- | --- |"]
    for name, _ in shown(results):
        banner = results["peers"][name]["banner"]
        about.append(f"| {name} | {banner['version']} | {banner['adapter']} | {banner.get('driver') or ''} |")
    parts.append("\n".join(about))
    if len({adapter.lower() for adapter in adapters(results)}) > 1:
        parts.append(f"**GPU peers ran on different adapters: {', '.join(adapters(results))}.**")
    for op, heading in OPERATIONS.items():
        if op == "forward" or trained:
            parts += [f"## {heading}", table(results, op)]
    errors, gradients = [], []
    for shape in results["shapes"]:
        for peer in shape["peers"].values():
            for op, field, into in [("forward", "error", errors), ("training", "gradient_error", gradients)]:
                if field in peer and (peer.get(op) or {}).get("status") == "ok":
                    into.append(peer[field])
    held = []
    if errors:
        held.append(f"Outputs timed here are off by {max(errors):.1e} at most from a float64 reference")
    if gradients:
        held.append(f"gradients by {max(gradients):.1e} of the largest number in each")
    if held:
        parts.append(", ".join(held) + ".")
    if notes(results):
        parts += ["## Notes", "\n".join(notes(results))]
    return "\n\n".join(parts) + "\n"


def chart(results, path):
    """Dots on a logarithmic axis: a band for each shape, in it a line for each peer."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plot
    from matplotlib.lines import Line2D
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    columns, shapes = shown(results), results["shapes"]
    ops = [op for op in OPERATIONS if any(median(s, name, op) for s in shapes for name, _ in columns)]
    if not ops:
        return False
    columns = [(name, kind) for name, kind in columns if any(median(s, name, op) for s in shapes for op in ops)]
    band = 0.35 + 0.14 * len(columns)
    height = band * len(shapes) + 1.9
    figure, axes = plot.subplots(1, len(ops), sharey=True, squeeze=False, figsize=(4.4 * len(ops) + 1.6, height))
    plot.rcParams["svg.hashsalt"] = "peers"
    for axis, op in zip(axes[0], ops):
        for row, shape in enumerate(shapes):
            if row % 2 == 0:
                axis.axhspan(row - 0.5, row + 0.5, color="#f1f1f1", zorder=0, linewidth=0)
            for place, (name, kind) in enumerate(columns):
                value = median(shape, name, op)
                if value is None:
                    continue
                library = name.split()[0]
                colour = COLOURS.get(library, "#555555")
                y = row + 0.84 * ((place + 0.5) / len(columns) - 0.5)
                fill = colour if kind == "gpu" else "white"
                weight = 1.8 if library == "wgrnn" else 1.2
                face = {"color": colour, "markerfacecolor": fill, "markeredgecolor": colour, "markeredgewidth": weight}
                size = 7 if library == "wgrnn" else 5.5
                axis.plot(value * 1e3, y, marker(name), markersize=size, **face, zorder=3)
                text = f" {milliseconds(value)}"
                axis.annotate(
                    text, (value * 1e3, y), (5, 0), textcoords="offset points", va="center", size=6.5, color="#333333"
                )
        axis.set_xscale("log")
        low, high = axis.get_xlim()
        axis.set_xlim(low, high * (high / low) ** 0.12)  # room for the last number
        axis.xaxis.set_major_locator(LogLocator(base=10, numticks=12))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}"))
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.grid(axis="x", color="#d8d8d8", linewidth=0.6, zorder=1)
        axis.set_title(OPERATIONS[op], size=10)
        axis.set_xlabel("milliseconds, fewer is better", size=9)
        axis.tick_params(labelsize=8.5)
        axis.tick_params(axis="y", length=0)
        for side in ("top", "right", "left"):
            axis.spines[side].set_visible(False)
    axes[0][0].set_yticks(range(len(shapes)), [shape["key"] for shape in shapes])
    axes[0][0].set_ylim(len(shapes) - 0.5, -0.5)
    handles = []
    for name, kind in columns:
        library = name.split()[0]
        colour = COLOURS.get(library, "#555555")
        fill = colour if kind == "gpu" else "white"
        style = {"marker": marker(name), "color": colour, "markerfacecolor": fill, "linestyle": "none"}
        handles.append(Line2D([], [], label=name, markersize=6, **style))
    # Inches, so that title and legend keep their room in a picture of any height.
    inch = 1 / height
    figure.suptitle(title(results), size=11, y=1 - 0.12 * inch, va="top").set_in_layout(False)
    across = min(len(handles), 5 if len(ops) > 1 else 3)
    rows = math.ceil(len(handles) / across)
    figure.legend(
        handles=handles, loc="lower center", ncols=across, frameon=False, fontsize=8.5, bbox_to_anchor=(0.5, 0)
    )
    figure.tight_layout(rect=(0, (0.15 + 0.22 * rows) * inch, 1, 1 - 0.4 * inch))
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=110)
    plot.close(figure)
    return True


def write(results, directory):
    (directory / "table.md").write_text(markdown(results))
    try:
        chart(results, directory / "chart.svg")
    except ImportError:
        print("no chart: matplotlib is not there; run.py --render draws it elsewhere")
