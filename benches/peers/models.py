"""Whole ONNX models here and by ONNX Runtime on the CPU, in turns.

    python3 models.py DIR --wgrnn target/release/examples/bench_report

DIR has directories with model.onnx and test_data_set_0, as scripts/make_onnx_models.py --packages writes them. Both go from arrays of the
host to arrays of the host. ONNX Runtime has as many threads as there are cores, which do not spin between runs.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import time

import numpy
import onnx
import onnxruntime
from onnx import numpy_helper

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


class Wgrnn:
    def __init__(self, program, device):
        self.process = subprocess.Popen([program, "serve", "--device", device], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer


class Ort:
    def __init__(self, folder):
        path = str(folder / "model.onnx")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = CORES
        options.log_severity_level = 3
        options.add_session_config_entry("session.force_spinning_stop", "1")
        start = time.perf_counter()
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.load = time.perf_counter() - start
        names = [i.name for i in onnx.load(path).graph.input]
        held = {t.name for t in onnx.load(path).graph.initializer}
        self.inputs = {}
        for i, name in enumerate(n for n in names if n not in held):
            tensor = onnx.TensorProto.FromString((folder / f"test_data_set_0/input_{i}.pb").read_bytes())
            self.inputs[name] = numpy_helper.to_array(tensor)

    def run(self, runs):
        times = []
        for _ in range(runs + 1):
            start = time.perf_counter()
            self.session.run(None, self.inputs)
            times.append(time.perf_counter() - start)
        return times[1:]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--wgrnn", default="target/release/examples/bench_report")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    own = Wgrnn(arguments.wgrnn, arguments.device)
    print("| model | ONNX Runtime, ms | here, ms | ratio | its load, ms | read and plan here, ms | ratio |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for folder in sorted(path.parent for path in arguments.folder.glob("*/model.onnx")):
        ort = Ort(folder)
        loaded = own.ask(op="model", dir=str(folder))
        runs = max(3, min(200, int(0.05 / max(min(ort.run(3)), 1e-6))))
        theirs, ours = [], []
        for _ in range(arguments.rounds):
            theirs += ort.run(runs)
            ours += own.ask(op="forward", runs=runs)["seconds"]
        a, b = (1e3 * statistics.median(times) for times in (theirs, ours))
        load = 1e3 * (loaded["read"] + loaded["plan"])
        print(f"| {folder.name} | {a:.3f} | {b:.3f} | {a / b:.2f} | {1e3 * ort.load:.1f} | {load:.1f} | {1e3 * ort.load / load:.2f} |", flush=True)


if __name__ == "__main__":
    main()
