"""Times PyTorch's CPU forward and forward + backward passes on the benchmark shapes and prints a Markdown table.

    python3 benches/pytorch_cpu.py [--seconds 1.0]

Needs torch; see scripts/requirements.txt. GFLOP/s counts the matrix products
only: 2*T*N*(I+H)*G*H per layer and direction, with I that layer's input size, for the forward pass.
"""

import argparse
import statistics
import time

import torch

# name, cell, input, hidden, batch, steps, layers, directions
SHAPES = [
    ("stream", "LSTM", 128, 128, 1, 1, 1, 1),
    ("vad", "LSTM", 128, 128, 1, 100, 1, 1),
    ("charlm", "LSTM", 128, 256, 32, 64, 1, 1),
    ("charlm", "GRU", 128, 256, 32, 64, 1, 1),
    ("charlm", "Elman", 128, 256, 32, 64, 1, 1),
    ("ds512", "LSTM", 512, 512, 16, 25, 1, 1),
    ("ds1024", "LSTM", 1024, 1024, 64, 50, 1, 1),
    ("embed", "LSTM", 40, 256, 64, 160, 3, 1),
    ("bi", "LSTM", 256, 256, 8, 128, 2, 2),
]
MODULES = {"LSTM": torch.nn.LSTM, "GRU": torch.nn.GRU, "Elman": torch.nn.RNN}
GATES = {"LSTM": 4, "GRU": 3, "Elman": 1}


def flop(cell, inputs, hidden, batch, steps, layers, directions):
    total = 0
    for layer in range(layers):
        width = inputs if layer == 0 else hidden * directions
        total += 2 * steps * batch * (width + hidden) * GATES[cell] * hidden * directions
    return total


def median_seconds(run, seconds):
    """Median time of a run, after a warm-up, over about this many seconds and three runs at least."""
    start = time.perf_counter()
    run()
    while time.perf_counter() - start < seconds / 10:
        run()
    times, start = [], time.perf_counter()
    while len(times) < 3 or time.perf_counter() - start < seconds:
        before = time.perf_counter()
        run()
        times.append(time.perf_counter() - before)
    return statistics.median(times)


def backward(module, x):
    """Gradients of the input and of all weights."""
    module.zero_grad(set_to_none=True)
    x = x.detach().requires_grad_()
    output, _ = module(x)
    output.backward(torch.ones_like(output))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=1.0, help="time spent on each shape")
    args = parser.parse_args()

    torch.manual_seed(0)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, float32\n")
    print("| shape | cell | I | H | N | T | L | D | forward ms | GFLOP/s | with backward ms |")
    print("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    for name, cell, inputs, hidden, batch, steps, layers, directions in SHAPES:
        module = MODULES[cell](inputs, hidden, layers, bidirectional=directions == 2).eval()
        x = torch.randn(steps, batch, inputs)
        with torch.no_grad():
            seconds = median_seconds(lambda: module(x), args.seconds)
        both = median_seconds(lambda: backward(module.train(), x), args.seconds)
        rate = flop(cell, inputs, hidden, batch, steps, layers, directions) / seconds / 1e9
        sizes = " | ".join(str(s) for s in (inputs, hidden, batch, steps, layers, directions))
        print(f"| {name} | {cell} | {sizes} | {seconds * 1e3:.3f} | {rate:.1f} | {both * 1e3:.3f} |", flush=True)


if __name__ == "__main__":
    main()
