"""Times the same recurrent layers in wgrnn and in other libraries, one beside the other.

    python run.py [--peers "wgrnn cpu,torch cpu"] [--shapes "charlm lstm,charlm gru"] [--no-training]

Every peer is a process that stays; see README.md for the protocol. A shape's output, and its gradients, are first held
against a plain float64 reference: a wrong layer is not timed. Then peers take turns, in an order that moves on by one
each round, so that what slows the machine down for a while slows all of them down.
"""

import argparse
import datetime
import json
import os
import platform
import queue
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy
from safetensors.numpy import load_file, save_file

import reference
import report

HERE = Path(__file__).resolve().parent

# Largest absolute error of y, which lies in (-1, 1). float32 sums of up to two thousand terms are off by 1e-6, and the
# recurrence contracts. A tanh of a fast kind costs some 1e-6 more; a gate or a bias in the wrong place, 1e-2.
TOLERANCE = 1e-4
# Largest error of a gradient relative to the largest number in that gradient, which sums up to T*N terms.
GRADIENT_TOLERANCE = 1e-3
# Of the CTC loss: a log probability of 500 steps is about -2000, whose float32 is off by 1e-4, and the gradient has its
# exponential.
CTC_GRADIENT_TOLERANCE = 1e-2
# TF32 keeps ten bits of what it multiplies. Its column says so.
TF32_TOLERANCE = 2e-2

# What a peer does in one round takes about this long.
SECONDS_A_ROUND = 0.2
# Beyond this a GPU in software takes minutes.
SOFTWARE_GFLOP = 6
SOFTWARE = ("llvmpipe", "lavapipe", "swiftshader", "softpipe", "microsoft basic render")


def peers(args):
    """Name, kind of device, command."""
    binaries, wgrnn = Path(args.bin), str(args.wgrnn)
    python = [str(args.python)]
    return [
        ("wgrnn gpu", "gpu", [wgrnn, "serve", "--device", "gpu"]),
        ("burn wgpu", "gpu", [str(binaries / "burn"), "wgpu"]),
        ("onnxruntime webgpu", "gpu", python + [str(HERE / "onnx_peer.py"), "webgpu"]),
        ("torch cuda", "gpu", python + [str(HERE / "torch_peer.py"), "cuda"]),
        ("torch cuda-tf32", "gpu", python + [str(HERE / "torch_peer.py"), "cuda-tf32"]),
        ("wgrnn cpu", "cpu", [wgrnn, "serve", "--device", "cpu"]),
        ("burn cpu", "cpu", [str(binaries / "burn"), "cpu"]),
        ("candle cpu", "cpu", [str(binaries / "candle")]),
        ("onnxruntime cpu", "cpu", python + [str(HERE / "onnx_peer.py"), "cpu"]),
        ("torch cpu", "cpu", python + [str(HERE / "torch_peer.py"), "cpu"]),
    ]


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


class Gone(Exception):
    """The process ended or did not answer in time."""


class Peer:
    def __init__(self, name, kind, command, logs, patience):
        self.name, self.kind, self.command, self.patience = name, kind, command, patience
        self.log = logs / f"{name.replace(' ', '-')}.log"
        self.log.write_text("")
        self.directory = HERE
        if name == "burn wgpu":
            # burn keeps what it has tuned by the adapter's name, which may be that of two drivers. So each --out has
            # its own, tuned anew when its folder is removed.
            self.directory = logs.parent / "burn"
            self.directory.mkdir(exist_ok=True)
            (self.directory / "cubecl.toml").write_text('[environment]\npath = "local"\n')
        self.process = self.banner = self.unavailable = None

    def start(self):
        """Starts the process and reads its banner, or notes why not."""
        if shutil.which(self.command[0]) is None:
            self.unavailable = f"{Path(self.command[0]).name} is not there"
            return
        # As cargo sets it (.cargo/config.toml).
        environment = {"NODEVICE_SELECT": "1", **os.environ}
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, cwd=self.directory,
                env=environment,
            )
        self.lines = queue.Queue()
        threading.Thread(target=self.listen, args=(self.process, self.lines), daemon=True).start()
        try:
            self.banner = self.read()
        except Gone as gone:
            last = [line for line in self.log.read_text().splitlines() if line.strip()]
            last = [line for line in last if not line.startswith("note: ")]
            self.unavailable = last[-1].strip() if last else str(gone)

    @staticmethod
    def listen(process, lines):
        for line in process.stdout:
            lines.put(line)
        lines.put(None)

    def read(self):
        try:
            line = self.lines.get(timeout=self.patience)
        except queue.Empty:
            self.process.kill()
            self.process.wait()
            raise Gone(f"no answer for {self.patience:g} s") from None
        if line is None:
            code = self.process.wait()
            raise Gone(f"ended with exit code {code}")
        return json.loads(line)

    def ask(self, **request):
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        except OSError:
            pass  # it has ended: reading says so
        return self.read()

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def stop(self):
        if not self.alive():
            return
        try:
            self.process.stdin.write('{"op": "quit"}\n')
            self.process.stdin.close()
            self.process.wait(3)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()

    def file(self, directory, ending=""):
        return directory / f"{self.banner['peer'].replace(' ', '-')}{ending}.safetensors"


def gflop(shape):
    """Products of the forward pass."""
    if shape["cell"] == "ctc":
        return 0
    if shape["cell"] == "attention":
        rows, width = shape["steps"] * shape["batch"], shape["input"]
        return 2 * rows * width * (width + 2 * shape["steps"]) / 1e9
    gates = {"lstm": 4, "gru": 3, "elman": 1, "residual": 4}[shape["cell"]]
    total = 0
    for layer in range(shape["layers"]):
        width = shape["input"] if layer == 0 else shape["hidden"] * shape["directions"]
        total += 2 * shape["steps"] * shape["batch"] * (width + shape["hidden"]) * gates * shape["hidden"]
    return total * shape["directions"] / 1e9


def machine():
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        cpu = names[0] if names else cpu
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    system = platform.system()
    if system == "Linux":
        try:
            system = platform.freedesktop_os_release().get("PRETTY_NAME", system)
        except OSError:
            pass
    load = round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None
    return {
        "cpu": cpu,
        "cores": cores,
        "load": load,
        "os": f"{system}, {platform.machine()}",
        "python": platform.python_version(),
    }


class Entry:
    """What becomes of one operation of one peer on one shape: times, or a word and a reason why not."""

    def __init__(self):
        self.seconds, self.first, self.status, self.reason, self.runs = [], [], "ok", None, 1

    def fail(self, status, reason):
        self.status, self.reason = status, reason

    def result(self):
        if self.status == "ok" and not self.seconds:
            self.seconds = self.first  # no time was left for rounds
        if not self.seconds:
            return {"status": self.status, "reason": self.reason}
        found = {"status": self.status, "median": statistics.median(self.seconds), "min": min(self.seconds)}
        return found | {"count": len(self.seconds)} | ({"reason": self.reason} if self.reason else {})


def sort(answer):
    """A word and a reason for an answer that is not what was asked for."""
    if "unsupported" in answer:
        return "unsupported", answer["unsupported"]
    return "error", answer.get("error", f"answered {json.dumps(answer)[:100]}")


def measure(peer, op, entry, runs):
    """Asks for some runs; true if there are times."""
    try:
        answer = peer.ask(op=op, runs=runs)
    except Gone as gone:
        entry.fail("died", str(gone))
        return False
    if "seconds" not in answer:
        entry.fail(*sort(answer))
        return False
    entry.seconds += answer["seconds"]
    return True


def compare(path, wanted, relative):
    """The largest error over all arrays, and where. One that is missing or not finite is as wrong as can be."""
    found, worst = load_file(path), (0.0, None)
    for name, array in wanted.items():
        if name not in found:
            return float("inf"), f"{name} is missing"
        if found[name].shape != array.shape:
            return float("inf"), f"{name} has the shape {found[name].shape}"
        # All of a gradient may be 0: that of the recurrent weights, of a single step.
        scale = (numpy.abs(array).max() or 1) if relative else 1
        error = numpy.abs(found[name] - array).max() / scale
        error = float(error) if numpy.isfinite(error) else float("inf")
        worst = max(worst, (error, name), key=lambda pair: pair[0])
    return worst


def load(peer, shape, directory, y, result):
    """Loads a shape and judges its output; the entries of forward pass and training, failed if it is wrong."""
    entries = {"forward": Entry(), "training": Entry()}
    try:
        answer = peer.ask(op="load", shape=shape, dir=str(directory))
        status, reason = (None, None) if answer.get("ok") else sort(answer)
    except Gone as gone:
        status, reason = "died", str(gone)
    if status is None:
        error, _ = compare(peer.file(directory), {"y": y}, relative=False)
        result["error"] = error
        if error > (TF32_TOLERANCE if "tf32" in peer.name else TOLERANCE):
            status, reason = "WRONG", f"y is off by {error:.1e}"
    if status is not None:
        for entry in entries.values():
            entry.fail(status, reason)
    return entries


def rounds(op, contenders, args, deadline):
    """Fills the entries, a list of (peer, entry). All have run once already, which says how many runs fill a round."""
    for number in range(args.rounds):
        turn = number % max(len(contenders), 1)
        for peer, entry in contenders[turn:] + contenders[:turn]:
            if entry.status != "ok":
                continue
            if entry.runs == 0:
                entry.reason = f"one run only, it takes longer than {args.budget:g} s"
                continue
            if time.monotonic() > deadline:
                entry.reason = f"{len(entry.seconds) or 1} runs only, the shape's time was up"
                continue
            # Threads that have just worked may still spin for a moment.
            time.sleep(0.02)
            measure(peer, op, entry, entry.runs)


def first(op, peer, entry, args):
    """One run, to see that it works and how long it takes."""
    say(f"    {op} {peer.name}")
    if not measure(peer, op, entry, 1):
        return False
    (seconds,) = entry.seconds
    if seconds > args.budget:
        entry.runs = 0
    else:
        entry.runs = max(1, min(1000, round(SECONDS_A_ROUND / max(seconds, 1e-6))))
        entry.first, entry.seconds = entry.seconds, []
    return True


def bench(shape, key, everybody, args, scratch, software):
    size = gflop(shape)
    say(f"{key}: {size:.3g} GFLOP")
    directory = scratch / key.replace(" ", "-")
    directory.mkdir()
    data = reference.make(shape)
    save_file(data, directory / "data.safetensors")
    y, gradients = reference.run(shape, data, args.training)
    results = {}
    contenders = []
    for peer in everybody:
        result = results[peer.name] = {}
        if peer.unavailable:
            continue
        if not peer.alive():  # another shape has ended it
            peer.start()
            if peer.unavailable:
                continue
        if peer.kind == "gpu" and software and size > SOFTWARE_GFLOP:
            reason = f"more than {SOFTWARE_GFLOP} GFLOP, too many for a GPU in software"
            result |= {op: {"status": "skipped", "reason": reason} for op in ("forward", "training")}
            continue
        if shape["cell"] in reference.BLOCKS and not peer.name.startswith(("wgrnn", "torch")):
            result |= {op: {"status": "unsupported", "reason": "recurrent layers only"} for op in ("forward", "training")}
            continue
        say(f"    load {peer.name}")
        contenders.append((peer, load(peer, shape, directory, y, result)))

    ready = [(peer, entries) for peer, entries in contenders if entries["forward"].status == "ok"]
    ready = [(peer, entries) for peer, entries in ready if first("forward", peer, entries["forward"], args)]
    deadline = time.monotonic() + args.max_seconds_per_shape
    rounds("forward", [(peer, entries["forward"]) for peer, entries in ready], args, deadline)

    if args.training:
        trained = []
        for peer, entries in ready:
            entry = entries["training"]
            if not peer.alive():
                entry.fail("died", "in the forward pass")
                continue
            # Three forward passes are the least that it takes.
            if 3 * statistics.median(entries["forward"].seconds or entries["forward"].first) > args.budget:
                entry.fail("skipped", f"would take longer than {args.budget:g} s")
                continue
            if not first("training", peer, entry, args):
                continue
            error, name = compare(peer.file(directory, ".gradients"), gradients, relative=True)
            results[peer.name]["gradient_error"] = error
            allowed = CTC_GRADIENT_TOLERANCE if shape["cell"] == "ctc" else GRADIENT_TOLERANCE
            if error > (TF32_TOLERANCE if "tf32" in peer.name else allowed):
                entry.seconds = []
                entry.fail("WRONG", f"the gradient of {name} is off by {error:.1e} of its largest number")
                continue
            trained.append((peer, entry))
        deadline = time.monotonic() + args.max_seconds_per_shape
        rounds("training", trained, args, deadline)

    for peer, entries in contenders:
        for op in ["forward", "training"] if args.training else ["forward"]:
            results[peer.name][op] = entries[op].result()
    shutil.rmtree(directory)
    return {"key": key, "shape": shape, "gflop": size, "peers": results}


def names(text):
    return [part.strip() for part in text.split(",") if part.strip()]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--peers", type=names, help="names of peers, with commas between; all by default")
    parser.add_argument("--shapes", type=names, help='as in "charlm lstm,charlm gru"; all by default')
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--training", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--max-seconds-per-shape", type=float, default=300, help="for each of forward and training")
    parser.add_argument("--budget", type=float, default=20, help="leave out what takes longer than this, in seconds")
    parser.add_argument(
        "--patience", type=float, default=600, help="end a peer that owes an answer for so many seconds"
    )
    parser.add_argument("--out", type=Path, default=HERE / "results")
    parser.add_argument("--wgrnn", type=Path, default=HERE / "../../target/release/examples/bench_report")
    parser.add_argument("--bin", type=Path, default=HERE / "target/release", help="where burn and candle are")
    parser.add_argument("--python", type=Path, help="the interpreter of the Python peers; this one, or .venv's")
    parser.add_argument("--shapes-file", type=Path, default=HERE / "../../examples/bench_report/shapes.json")
    parser.add_argument(
        "--render", type=Path, metavar="results.json", help="only draw table and chart of these results"
    )
    args = parser.parse_args()
    if args.render:
        report.write(json.loads(args.render.read_text()), args.render.parent)
        return
    if args.python is None:
        own = [HERE / ".venv/bin/python", HERE / ".venv/Scripts/python.exe"]
        args.python = next((path for path in own if path.exists()), Path(sys.executable))
    # Peers have working directories of their own. A link, as of a virtual environment, stays one.
    args.bin, args.wgrnn = args.bin.resolve(), args.wgrnn.resolve()
    if len(args.python.parts) > 1:
        args.python = args.python.absolute()
    args.out = args.out.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    logs = args.out / "logs"
    logs.mkdir(exist_ok=True)

    # Cells that no other library here has are left to `cargo bench`.
    all_shapes = json.loads(args.shapes_file.read_text())
    cells = [*reference.CELLS, *reference.BLOCKS]
    shapes = {f"{s['name']} {s['cell']}": s for s in all_shapes if s["cell"] in cells}
    known = peers(args)
    for wanted, all_of_them in [(args.shapes, shapes), (args.peers, [name for name, *_ in known])]:
        unknown = [name for name in wanted or [] if name not in all_of_them]
        if unknown:
            parser.error(f"no {unknown[0]!r}; there are {', '.join(all_of_them)}")
    everybody = [Peer(*peer, logs, args.patience) for peer in known if args.peers is None or peer[0] in args.peers]

    # Told to end, it ends its peers.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    results = {"machine": machine(), "date": datetime.date.today().isoformat(), "rounds": args.rounds, "peers": {}}
    results["shapes"] = []
    try:
        for peer in everybody:
            peer.start()
            about = {"unavailable": peer.unavailable} if peer.unavailable else {"banner": peer.banner}
            results["peers"][peer.name] = {"kind": peer.kind} | about
            say(f"{peer.name}: {peer.unavailable or json.dumps(peer.banner)}")
        # One that does not name its adapter takes the same one as those that do.
        adapters = [peer.banner["adapter"].lower() for peer in everybody if peer.kind == "gpu" and peer.banner]
        software = any(word in adapter for adapter in adapters for word in SOFTWARE)
        real = any(peer.kind == "gpu" and peer.banner for peer in everybody) and not software
        results["software"] = software
        for key, shape in shapes.items():
            if key in args.shapes if args.shapes else real or shape["name"] != "flash":
                with tempfile.TemporaryDirectory(prefix="peers-") as scratch:
                    results["shapes"].append(bench(shape, key, everybody, args, Path(scratch), software))
                for peer in everybody:  # one that could not be started again
                    if peer.unavailable:
                        results["peers"][peer.name]["unavailable"] = peer.unavailable
                (args.out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    finally:
        for peer in everybody:
            peer.stop()
    report.write(results, args.out)
    print((args.out / "table.md").read_text())


if __name__ == "__main__":
    main()
