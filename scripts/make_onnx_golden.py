"""Makes tests/fixtures/onnx_nodes.safetensors: the RNN, GRU and LSTM node test
cases of the `onnx` package, and cases that neither they nor PyTorch have.

A case taken from `onnx` (Apache License 2.0) is named as it is there and has

    NAME/raw/X ...              its inputs and outputs as ONNX names and lays them out
    NAME/weight_ih_l0 ...       W, R and B under PyTorch's names, in PyTorch's gate order

No B means no bias_ and no B among the tensors. `_reverse` names are the second
direction of a bidirectional case; the only direction of a "reverse" case has the
plain names.

A case made here, from the textbook equations in float64, is stored as float32 and
has

    made_NN/weight_ih_l0 ...    PyTorch's names; GRU gates in the order r, z, n
    made_NN/input               [T, N, I]
    made_NN/h0, lengths         where given; [layers * directions, N, H] and uint32
    made_NN/output, hn          [T, N, directions * H], [layers * directions, N, H]

Each case has an entry in the JSON list under the metadata key `cases`.

Before writing, the equations here are checked against all of the node cases,
against onnx's reference evaluator, and against the cases from PyTorch in
tests/fixtures/pytorch_golden.safetensors.

Run it with

    python3 scripts/make_onnx_golden.py

Needs onnx and what make_pytorch_golden.py needs; see scripts/requirements.txt.
"""

import json

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator
from safetensors import safe_open

from make_onnx_cases import cases as recurrent_cases
from make_pytorch_golden import OUT as PYTORCH, write

OUT = PYTORCH.with_name("onnx_nodes.safetensors")
SEED = 18

INPUTS = {
    "RNN": ["X", "W", "R", "B", "sequence_lens", "initial_h"],
    "GRU": ["X", "W", "R", "B", "sequence_lens", "initial_h"],
    "LSTM": ["X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"],
}
OUTPUTS = ["Y", "Y_h", "Y_c"]
# Where PyTorch's gates are among ONNX's: r z n in z r h, i f g o in i o f c.
GATES = {"RNN": [0], "GRU": [1, 0, 2], "LSTM": [0, 2, 3, 1]}

# cell, layers, bidirectional, bias, lengths, state, T, N, I, H
MADE = [
    ("elman_sigmoid", 1, False, True, None, False, 1, 1, 1, 1),
    ("elman_sigmoid", 1, False, False, [4, 1, 6], True, 6, 3, 5, 8),
    ("elman_sigmoid", 1, True, True, None, True, 7, 2, 3, 17),
    ("elman_sigmoid", 2, False, True, None, False, 5, 4, 7, 33),
    ("elman_sigmoid", 2, True, True, [9, 2, 5, 1, 8], True, 9, 5, 13, 16),
    ("elman_sigmoid", 2, True, False, [3, 3], False, 4, 2, 4, 5),
    ("gru_reset_before", 1, False, True, None, True, 1, 1, 1, 1),
    ("gru_reset_before", 1, False, True, [2, 8, 5], False, 8, 3, 9, 33),
    ("gru_reset_before", 1, True, False, None, False, 6, 2, 3, 7),
    ("gru_reset_before", 2, False, False, None, True, 5, 7, 16, 13),
    ("gru_reset_before", 2, True, True, [1, 12, 7, 4], True, 12, 4, 8, 17),
    ("gru_reset_before", 2, True, True, [2, 3, 1], False, 5, 3, 31, 4),
]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def cell_step(cell, x, h, c, w, peepholes):
    """One step; `w` has PyTorch's names without the layer. Returns h and c."""
    w_ih, w_hh = w["weight_ih"], w["weight_hh"]
    zeros = np.zeros(len(w_ih))
    b_ih, b_hh = w.get("bias_ih", zeros), w.get("bias_hh", zeros)
    a = x @ w_ih.T + b_ih
    b = h @ w_hh.T + b_hh
    if cell.startswith("elman_"):
        f = {"tanh": np.tanh, "relu": lambda v: np.maximum(v, 0), "sigmoid": sigmoid}
        return f[cell.removeprefix("elman_")](a + b), c
    if cell.startswith("gru_"):
        H = h.shape[1]
        r, z = sigmoid(a[:, :H] + b[:, :H]), sigmoid(a[:, H:2 * H] + b[:, H:2 * H])
        if cell == "gru_reset_before":
            n = np.tanh(a[:, 2 * H:] + (r * h) @ w_hh[2 * H:].T + b_hh[2 * H:])
        else:
            n = np.tanh(a[:, 2 * H:] + r * b[:, 2 * H:])
        return (1 - z) * n + z * h, c
    p_i, p_o, p_f = (0, 0, 0) if peepholes is None else np.split(peepholes, 3)
    i, f, g, o = np.split(a + b, 4, axis=1)
    c = sigmoid(f + p_f * c) * c + sigmoid(i + p_i * c) * np.tanh(g)
    h = sigmoid(o + p_o * c) * np.tanh(c)
    return h @ w["weight_hr"].T if "weight_hr" in w else h, c


def run_direction(cell, x, h, c, w, lengths, backwards, peepholes=None):
    """x is [T, N, I]. A row steps only within its length, so going backwards it
    starts at its own last step; beyond that its output is 0."""
    T, N, _ = x.shape
    output = np.zeros((T, N, h.shape[1]))
    for t in reversed(range(T)) if backwards else range(T):
        valid = (t < lengths)[:, None]
        new_h, new_c = cell_step(cell, x[t], h, c, w, peepholes)
        h, c = np.where(valid, new_h, h), np.where(valid, new_c, c)
        output[t] = np.where(valid, new_h, 0)
    return output, h, c


def forward(cell, weights, x, layers, direction, lengths=None, h0=None, c0=None, P=None):
    """Time-major, in float64. Returns output, hn, cn."""
    T, N, _ = x.shape
    weights = {name: value.astype(np.float64) for name, value in weights.items()}
    lengths = np.full(N, T) if lengths is None else lengths
    x = x.astype(np.float64)
    ways = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[direction]
    hn, cn = [], []
    for layer in range(layers):
        outputs = []
        for d, backwards in enumerate(ways):
            end = f"_l{layer}" + "_reverse" * d
            w = {name.removesuffix(end): value for name, value in weights.items()
                 if name.endswith(end)}
            row, H = len(hn), w["weight_hh"].shape[1]
            # A cell state is wider than the output where that is projected.
            width = w["weight_hr"].shape[1] if "weight_hr" in w else H
            h = np.zeros((N, H)) if h0 is None else h0[row].astype(np.float64)
            c = np.zeros((N, width)) if c0 is None else c0[row].astype(np.float64)
            peepholes = None if P is None else P[d].astype(np.float64)
            output, h, c = run_direction(cell, x, h, c, w, lengths, backwards, peepholes)
            outputs.append(output)
            hn.append(h)
            cn.append(c)
        x = np.concatenate(outputs, axis=2)
    return x, np.stack(hn), np.stack(cn)


def to_pytorch(op, raw):
    """W, R and B under PyTorch's names and in its gate order."""
    def reorder(rows):
        parts = np.split(rows, len(GATES[op]))
        return np.concatenate([parts[gate] for gate in GATES[op]])

    weights = {}
    for d in range(len(raw["W"])):
        end = "_l0" + "_reverse" * d
        weights["weight_ih" + end] = reorder(raw["W"][d])
        weights["weight_hh" + end] = reorder(raw["R"][d])
        if "B" in raw:
            for name, bias in zip(["bias_ih", "bias_hh"], np.split(raw["B"][d], 2)):
                weights[name + end] = reorder(bias)
    return weights


def cell_of(op, attributes):
    # These attributes would be another cell; no case has them.
    assert not attributes.keys() & {"activations", "clip", "input_forget"}
    if op == "GRU":
        after = attributes.get("linear_before_reset", 0)
        return "gru_reset_after" if after else "gru_reset_before"
    return {"RNN": "elman_tanh", "LSTM": "lstm"}[op]


def check_node(op, attributes, raw, weights):
    """Runs the converted weights and compares with the node's own outputs."""
    layout = attributes.get("layout", 0)

    def time_major(value):
        return value.swapaxes(0, 1) if layout and value is not None else value

    output, hn, cn = forward(
        cell_of(op, attributes), weights, time_major(raw["X"]), 1,
        attributes.get("direction", "forward"), raw.get("sequence_lens"),
        time_major(raw.get("initial_h")), time_major(raw.get("initial_c")), raw.get("P"))
    T, N, _ = output.shape
    y = output.reshape(T, N, len(raw["W"]), -1)
    ours = {
        "Y": y.transpose(1, 0, 2, 3) if layout else y.transpose(0, 2, 1, 3),
        "Y_h": time_major(hn),
        "Y_c": time_major(cn),
    }
    expected = raw.keys() & set(OUTPUTS)
    assert expected
    for name in expected:
        assert raw[name].shape == ours[name].shape
        np.testing.assert_allclose(raw[name], ours[name], rtol=2e-6, atol=1e-6)


def check_gate_order(rng):
    """Most node cases give all gates the same weights and so would not notice a
    wrong order; onnx's reference evaluator does, on drawn weights."""
    variants = [("RNN", {}), ("GRU", {}), ("GRU", {"linear_before_reset": 1}), ("LSTM", {})]
    T, N, I, H = 5, 3, 4, 6
    for op, extra in variants:
        rows = len(GATES[op]) * H
        for direction in ["forward", "reverse", "bidirectional"]:
            D = 1 + (direction == "bidirectional")
            shapes = {"X": (T, N, I), "W": (D, rows, I), "R": (D, rows, H), "B": (D, 2 * rows),
                      "initial_h": (D, N, H)}
            if op == "LSTM":
                shapes |= {"initial_c": (D, N, H), "P": (D, 3 * H)}
            raw = {name: rng.normal(0, 0.7, shape) for name, shape in shapes.items()}
            attributes = {"hidden_size": H, "direction": direction, **extra}
            outputs = OUTPUTS[:3 if op == "LSTM" else 2]
            node = onnx.helper.make_node(
                op, [name if name in raw else "" for name in INPUTS[op]], outputs, **attributes)
            raw |= dict(zip(outputs, ReferenceEvaluator(node).run(None, raw)))
            check_node(op, attributes, raw, to_pytorch(op, raw))


def check_against_pytorch():
    """Proves lengths, directions, layers and states of `forward`."""
    with safe_open(PYTORCH, "numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
        cases = json.loads(file.metadata()["cases"])
    for case in cases:
        prefix = case["name"] + "/"
        t = {name.removeprefix(prefix): value for name, value in tensors.items()
             if name.startswith(prefix)}
        x, output = t["input"], t["output"]
        if case["batch_first"]:
            x, output = x.swapaxes(0, 1), output.swapaxes(0, 1)
        cell = "gru_reset_after" if case["cell"] == "gru" else case["cell"]
        ours = forward(cell, t, x, case["layers"],
                       "bidirectional" if case["bidirectional"] else "forward",
                       t.get("lengths"), t.get("h0"), t.get("c0"))
        for expected, value in zip([output, t["hn"], t.get("cn")], ours):
            if expected is not None:
                assert expected.shape == value.shape
                np.testing.assert_allclose(expected, value, rtol=1e-7, atol=1e-12)
    return len(cases)


def node_cases():
    for test in recurrent_cases():
        node, (inputs, outputs) = test.model.graph.node[0], test.data_sets[0]
        # An empty name is an argument left out.
        names = [formal for formal, name in zip(INPUTS[node.op_type], node.input) if name]
        names += [formal for formal, name in zip(OUTPUTS, node.output) if name]
        values = [np.asarray(value) for value in (*inputs, *outputs)]
        attributes = {}
        for a in node.attribute:
            value = onnx.helper.get_attribute_value(a)
            attributes[a.name] = value.decode() if isinstance(value, bytes) else value
        yield test.name, node.op_type, attributes, dict(zip(names, values, strict=True))


def made_case(rng, cell, layers, bidirectional, bias, lengths, state, T, N, I, H):
    def draw(values):
        return values.astype(np.float32)

    D = 1 + bidirectional
    rows = H * (3 if cell.startswith("gru") else 1)
    bound = H ** -0.5
    weights = {}
    for layer in range(layers):
        for end in [f"_l{layer}", f"_l{layer}_reverse"][:D]:
            shapes = {"weight_ih": (rows, D * H if layer else I), "weight_hh": (rows, H)}
            if bias:
                shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
            for name, shape in shapes.items():
                weights[name + end] = draw(rng.uniform(-bound, bound, shape))
    tensors = {"input": draw(rng.standard_normal((T, N, I)))}
    if state:
        tensors["h0"] = draw(rng.uniform(-1, 1, (layers * D, N, H)))
    if lengths:
        tensors["lengths"] = np.array(lengths, dtype=np.uint32)
    output, hn, _ = forward(cell, weights, tensors["input"], layers,
                            "bidirectional" if bidirectional else "forward",
                            tensors.get("lengths"), tensors.get("h0"))
    return weights | tensors | {"output": draw(output), "hn": draw(hn)}


def entry(name, cell, layers, direction, bias, input_size, hidden_size, batch, steps,
          layout=0, peepholes=False, attributes=None):
    return {
        "name": name,
        "cell": cell,
        "input_size": input_size,
        "hidden_size": hidden_size,
        "layers": layers,
        "bidirectional": direction == "bidirectional",
        "direction": direction,
        "bias": bias,
        "layout": layout,
        "peepholes": peepholes,
        "batch": batch,
        "steps": steps,
        "attributes": attributes or {},
    }


def main():
    rng = np.random.default_rng(SEED)
    check_gate_order(rng)
    checked = check_against_pytorch()

    tensors, cases = {}, []
    for name, op, attributes, raw in node_cases():
        weights = to_pytorch(op, raw)
        check_node(op, attributes, raw, weights)
        tensors |= {f"{name}/raw/{key}": value for key, value in raw.items()}
        tensors |= {f"{name}/{key}": value for key, value in weights.items()}
        layout = attributes.get("layout", 0)
        steps, batch, input_size = raw["X"].shape
        if layout:
            steps, batch = batch, steps
        cases.append(entry(
            name, cell_of(op, attributes), 1, attributes.get("direction", "forward"), "B" in raw,
            input_size, attributes["hidden_size"], batch, steps,
            layout, "P" in raw, attributes))
    assert len(cases) == 18, len(cases)

    for number, spec in enumerate(MADE):
        name = f"made_{number:02}"
        tensors |= {f"{name}/{key}": value for key, value in made_case(rng, *spec).items()}
        cell, layers, bidirectional, bias, _, _, T, N, I, H = spec
        direction = "bidirectional" if bidirectional else "forward"
        cases.append(entry(name, cell, layers, direction, bias, I, H, N, T))

    tensors = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
    allowed = {np.dtype(t) for t in (np.float32, np.int32, np.uint32)}
    assert {value.dtype for value in tensors.values()} <= allowed
    metadata = {
        "cases": json.dumps(cases),
        "made_by": "scripts/make_onnx_golden.py; test_* from onnx, Apache License 2.0",
        "onnx": onnx.__version__,
    }
    size = write(OUT, tensors, metadata)
    print(f"{OUT.name}: {len(cases)} cases, {size} bytes ({checked} of PyTorch's cases checked)")


if __name__ == "__main__":
    main()
