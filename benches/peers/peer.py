"""What the Python peers share: the protocol they speak with run.py, one JSON object a line.

A peer keeps standard output for the protocol; a library that prints there would break it, so file descriptor 1 is
turned into standard error, and answers go to a copy of the original.
"""

import json
import os
import sys
import time
from pathlib import Path

from safetensors.numpy import load_file, save_file

GATES = {"lstm": 4, "gru": 3, "elman": 1}


class Unsupported(Exception):
    """The layer cannot be expressed in this library: an answer, not a failure."""


def suffixes(shape):
    """PyTorch's endings of names with each layer's: [["_l0", "_l0_reverse"], ["_l1", ...]]."""
    ends = ["", "_reverse"][: shape["directions"]]
    return [[f"_l{layer}{end}" for end in ends] for layer in range(shape["layers"])]


def timed(run, runs):
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return seconds


def settle(run):
    """Warm-up: runs until three in a row were no faster than nine tenths of the best before them, or for ten seconds."""
    start, best, steady, runs = time.perf_counter(), float("inf"), 0, 0
    while steady < 3 and runs < 50 and (runs < 1 or time.perf_counter() - start < 10):
        (seconds,) = timed(run, 1)
        steady = 0 if seconds < 0.9 * best else steady + 1
        best, runs = min(best, seconds), runs + 1


def serve(banner, load):
    """Answers requests until told to quit. `load(shape, data)` makes a layer, which has

    forward()    one forward pass, complete on the device when it returns
    output()     y of the latest one, [T, N, D*H]
    training()   forward and backward from dL/dy = 1, complete likewise; may be None
    gradients()  of the latest one, by PyTorch's names, and x
    """
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    file = banner["peer"].replace(" ", "-")
    print(json.dumps(banner), file=out)
    layer = dir = None
    warm = set()
    for line in sys.stdin:
        request = json.loads(line)
        op = request["op"]
        if op == "quit":
            break
        try:
            if op == "load":
                layer, warm = None, set()
                dir = Path(request["dir"])
                layer = load(request["shape"], load_file(dir / "data.safetensors"))
                layer.forward()
                save_file({"y": layer.output()}, dir / f"{file}.safetensors")
                answer = {"ok": True}
            else:
                run = {"forward": layer.forward, "training": layer.training}[op]
                if run is None:
                    raise Unsupported("inference only")
                if op not in warm:
                    if op == "training":
                        run()
                        save_file(layer.gradients(), dir / f"{file}.gradients.safetensors")
                    settle(run)
                    warm.add(op)
                answer = {"seconds": timed(run, request["runs"])}
        except Unsupported as error:
            answer = {"unsupported": str(error)}
        except Exception as error:  # one shape that fails must not end the others
            answer = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
        print(json.dumps(answer), file=out)
