"""Makes tests/fixtures/cells_golden.safetensors: the cells that PyTorch and ONNX lack, each by a plain recurrence
in float64 that follows its paper, with exact gradients:

    python3 scripts/make_cells_golden.py

Needs numpy. Derivatives are by complex steps: f'(x) = Im f(x + iε) / ε, exact to rounding for an ε so small that
its square vanishes. Inputs and weights are float32.
"""

import json
from pathlib import Path

import numpy as np

from packages import write_safetensors

OUT = Path(__file__).parent.parent / "tests/fixtures/cells_golden.safetensors"
STEPS, BATCH, INPUTS, UNITS = 5, 2, 3, 4
EPSILON = 1e-40


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def relu(a):
    return np.where(a.real > 0, a, 0)


# A cell: the sums W·x + b of its gates in their order, R·v of a gate for a vector v, h and c to the new h and c.
# Gates, kind of R, whether there is a c.


def min_gru(sums, r, h, c):
    z, candidate = sigmoid(sums[0]), sums[1]
    return (1 - z) * h + z * candidate, c


def min_lstm(sums, r, h, c):
    f, i, candidate = sigmoid(sums[0]), sigmoid(sums[1]), sums[2]
    return (f * h + i * candidate) / (f + i), c


def sru(sums, r, h, c):
    candidate, f, reset, highway = sums[0], sigmoid(sums[1]), sigmoid(sums[2]), sums[3]
    c = f * c + (1 - f) * candidate
    return reset * np.tanh(c) + (1 - reset) * highway, c


def qrnn(sums, r, h, c):
    z, f, o = np.tanh(sums[0]), sigmoid(sums[1]), sigmoid(sums[2])
    c = f * c + (1 - f) * z
    return o * c, c


def ind_rnn_relu(sums, r, h, c):
    return relu(sums[0] + r(0, h)), c


def ind_rnn_tanh(sums, r, h, c):
    return np.tanh(sums[0] + r(0, h)), c


def mgu(sums, r, h, c):
    f = sigmoid(sums[0] + r(0, h))
    n = np.tanh(sums[1] + r(1, f * h))
    return (1 - f) * h + f * n, c


def li_gru(sums, r, h, c):
    z, n = sigmoid(sums[0] + r(0, h)), relu(sums[1] + r(1, h))
    return z * h + (1 - z) * n, c


CELLS = {
    "min_gru": (min_gru, 2, "none", False),
    "min_lstm": (min_lstm, 3, "none", False),
    "sru": (sru, 4, "none", True),
    "qrnn": (qrnn, 3, "none", True),
    "ind_rnn_relu": (ind_rnn_relu, 1, "diagonal", False),
    "ind_rnn_tanh": (ind_rnn_tanh, 1, "diagonal", False),
    "mgu": (mgu, 2, "matrix", False),
    "li_gru": (li_gru, 2, "matrix", False),
}


def forward(cell, kind, arrays):
    """y and the final state of a sequence."""
    x, w, b, h = (arrays[name] for name in ["x", "weight_ih_l0", "bias_ih_l0", "h0"])
    matrix = arrays.get("weight_hh_l0")
    h, c, y = h[0], arrays["c0"][0] if "c0" in arrays else None, []
    part = lambda array, gate: array[gate * UNITS : (gate + 1) * UNITS]
    product = lambda gate, v: v * matrix[:, 0] if kind == "diagonal" else v @ part(matrix, gate).T
    for step in x:
        sums = [step @ part(w, gate).T + part(b, gate) for gate in range(len(b) // UNITS)]
        h, c = cell(sums, product, h, c)
        y.append(h)
    return np.stack(y), h, c


def gradient(cell, kind, arrays, name, dy):
    """Of Σ y·dy by one of the arrays."""
    result = np.empty(arrays[name].shape)
    for at in np.ndindex(result.shape):
        moved = arrays | {name: arrays[name].astype(complex)}
        moved[name][at] += 1j * EPSILON
        y, _, _ = forward(cell, kind, moved)
        result[at] = (y * dy).sum().imag / EPSILON
    return result


def main():
    tensors, cases = {}, []
    for name, (cell, gates, kind, has_c) in CELLS.items():
        # Of the name, so that the numbers of a cell do not change with the list.
        random = np.random.default_rng(list(name.encode()))
        uniform = lambda *shape: random.uniform(-1, 1, shape).astype(np.float32).astype(float)
        arrays = {"x": uniform(STEPS, BATCH, INPUTS), "h0": uniform(1, BATCH, UNITS)}
        arrays |= {"weight_ih_l0": uniform(gates * UNITS, INPUTS), "bias_ih_l0": uniform(gates * UNITS)}
        if has_c:
            arrays["c0"] = uniform(1, BATCH, UNITS)
        if kind != "none":
            arrays["weight_hh_l0"] = uniform(gates * UNITS, 1 if kind == "diagonal" else UNITS)
        dy = uniform(STEPS, BATCH, UNITS)
        y, h, c = forward(cell, kind, arrays)
        made = {"y": y, "dy": dy, "hn": h[None]} | ({"cn": c[None]} if has_c else {})
        made |= {f"grad/{key}": gradient(cell, kind, arrays, key, dy) for key in arrays}
        for key, array in (arrays | made).items():
            assert np.isfinite(array).all(), (name, key)
            tensors[f"{name}/{key}"] = array.astype(np.float32)
        cases.append(name)
    write_safetensors(OUT, tensors, {"cases": json.dumps(cases)})
    print(f"{OUT}: {OUT.stat().st_size} bytes")


main()
