#!/usr/bin/env python3
"""Makes the pretrained models of the demo page, web/demo/models/NAME.safetensors, from checkpoints of the lessons of these
names: the weights only, in float16.

    cargo run --release --example handwriting -- --save handwriting.safetensors
    python3 make_demo_models.py handwriting.safetensors

Needs NumPy.
"""
import json
import pathlib
import sys

import numpy as np
from packages import write_safetensors

OUT = pathlib.Path(__file__).resolve().parent.parent / "web/demo/models"


def weights(path):
    """Arrays of a checkpoint without what belongs to the training, and its notes about layers."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + size]), data[8 + size :]
    notes = header.pop("__metadata__")
    notes = {name: notes[name] for name in sorted(notes) if name.startswith("wgrnn.config.")}
    arrays = {}
    for name in sorted(header):
        if name.startswith("optimizer.") or name == "progress":
            continue
        entry = header[name]
        assert entry["dtype"] == "F32", f"{name}: expected F32, got {entry['dtype']}"
        begin, end = entry["data_offsets"]
        arrays[name] = np.frombuffer(body[begin:end], "<f4").reshape(entry["shape"])
    return arrays, notes


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for path in map(pathlib.Path, sys.argv[1:]):
        arrays, notes = weights(path)
        out = OUT / path.name
        write_safetensors(out, arrays, notes, "F16")
        count = sum(array.size for array in arrays.values())
        print(f"{out}: {count} numbers, {out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
