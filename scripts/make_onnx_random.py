"""Makes random RNN, GRU and LSTM nodes with ONNX Runtime's CPU answers, in the layout
of ONNX's backend tests (see make_onnx_cases.py):

    python3 scripts/make_onnx_random.py tests/fixtures/onnx_random --count 30 --seed 2
    python3 scripts/make_onnx_random.py DIR --count 400 --seed 1

The first line makes the fixtures. W, R and B are initialisers in half of the models
and inputs in the others. ONNX Runtime has no layout 1: such a node's answers are those
of layout 0 with axes swapped as the specification says. ThresholdedRelu is always given
its alpha, whose default ONNX Runtime takes for 0 and the specification for 1; Affine and
ScaledTanh too, which the specification gives no defaults.

Needs onnx and onnxruntime; see scripts/requirements.txt.
"""

import argparse
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
USUAL = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}
# Which constants each activation takes, and whether both systems have the same defaults.
CONSTANTS = {
    "Tanh": (0, 0, True),
    "Relu": (0, 0, True),
    "Sigmoid": (0, 0, True),
    "Affine": (1, 1, False),
    "LeakyRelu": (1, 0, True),
    "ThresholdedRelu": (1, 0, False),
    "ScaledTanh": (1, 1, False),
    "HardSigmoid": (1, 1, True),
    "Elu": (1, 0, True),
    "Softsign": (0, 0, True),
    "Softplus": (0, 0, True),
}
TYPES = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.int32): TensorProto.INT32}


def draw(rng):
    """Operator, attributes and inputs of layout 0."""
    op = rng.choice(sorted(GATES))
    direction = rng.choice(["forward", "reverse", "bidirectional"])
    D = 1 + (direction == "bidirectional")
    T, N, I, H = (int(rng.integers(1, most)) for most in (9, 6, 20, 40))
    G = GATES[op]
    bound = H**-0.5

    def uniform(*shape, bound=1.0):
        return rng.uniform(-bound, bound, shape).astype(np.float32)

    inputs = {"X": uniform(T, N, I), "W": uniform(D, G * H, I, bound=bound), "R": uniform(D, G * H, H, bound=bound)}
    if rng.random() < 0.7:
        inputs["B"] = uniform(D, 2 * G * H, bound=bound)
    if rng.random() < 0.5:
        inputs["sequence_lens"] = rng.integers(rng.integers(0, 2), T + 1, N).astype(np.int32)
    if rng.random() < 0.5:
        inputs["initial_h"] = uniform(D, N, H)
    if op == "LSTM" and rng.random() < 0.5:
        inputs["initial_c"] = uniform(D, N, H)
    attributes = {"hidden_size": H, "direction": str(direction)}
    if op == "GRU" and rng.random() < 0.5:
        attributes["linear_before_reset"] = 1
    if op == "LSTM" and rng.random() < 0.4:
        inputs["P"] = uniform(D, 3 * H, bound=bound)
    if op == "LSTM" and rng.random() < 0.3:
        attributes["input_forget"] = 1
    if rng.random() < 0.3:
        attributes["clip"] = float(np.float32(rng.uniform(0.1, 1.0)))
    if rng.random() < 0.6:
        names = [[str(rng.choice(list(CONSTANTS))) for _ in USUAL[op]] for _ in range(D)]
        if rng.random() < 0.5:
            names[-1] = names[0]
        names = sum(names, [])
        attributes["activations"] = names
        defaults = all(CONSTANTS[name][2] for name in names) and rng.random() < 0.5
        for place, attribute in enumerate(["activation_alpha", "activation_beta"]):
            count = sum(CONSTANTS[name][place] for name in names)
            if count and not defaults:
                attributes[attribute] = [float(np.float32(rng.uniform(0.1, 0.9))) for _ in range(count)]
    return str(op), attributes, inputs


def model_of(op, attributes, inputs, outputs, held):
    names = ["X", "W", "R", "B", "sequence_lens", "initial_h"] + ["initial_c", "P"] * (op == "LSTM")
    node = helper.make_node(op, [name if name in inputs else "" for name in names], outputs, name="cell", **attributes)
    infos = [helper.make_tensor_value_info(n, TYPES[v.dtype], v.shape) for n, v in inputs.items() if n not in held]
    outs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [None] * (4 if n == "Y" else 3)) for n in outputs if n]
    initializers = [numpy_helper.from_array(inputs[name], name) for name in held]
    graph = helper.make_graph([node], "random", infos, outs, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)


def run(model, inputs):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    wanted = {i.name for i in session.get_inputs()}
    return session.run(None, {name: value for name, value in inputs.items() if name in wanted})


def swap(name, value):
    """An array of layout 0 in layout 1."""
    if name == "Y":
        return value.transpose(2, 0, 1, 3)
    return value.swapaxes(0, 1) if name in ("X", "initial_h", "initial_c", "Y_h", "Y_c") else value


def write(rng, folder):
    op, attributes, inputs = draw(rng)
    outputs = ["Y", "Y_h"] + ["Y_c"] * (op == "LSTM")
    outputs = [name if rng.random() < 0.8 else "" for name in outputs]
    if not any(outputs):
        outputs[0] = "Y"
    held = [name for name in ("W", "R", "B", "P") if name in inputs] if rng.random() < 0.5 else []
    model = model_of(op, attributes, inputs, outputs, held)
    answers = run(model, inputs)
    if rng.random() < 0.3:
        inputs = {name: swap(name, value) for name, value in inputs.items()}
        answers = [swap(name, value) for name, value in zip([name for name in outputs if name], answers, strict=True)]
        model = model_of(op, attributes | {"layout": 1}, inputs, outputs, held)
    onnx.checker.check_model(model)
    data = folder / "test_data_set_0"
    data.mkdir(parents=True)
    onnx.save(model, folder / "model.onnx")
    given = [(info.name, inputs[info.name]) for info in model.graph.input]
    made = list(zip([info.name for info in model.graph.output], answers, strict=True))
    for kind, tensors in [("input", given), ("output", made)]:
        for number, (name, value) in enumerate(tensors):
            tensor = numpy_helper.from_array(np.ascontiguousarray(value), name)
            (data / f"{kind}_{number}.pb").write_bytes(tensor.SerializeToString())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    # Made beside, so that a fault leaves the old ones.
    new = args.out.with_name(args.out.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    for number in range(args.count):
        write(rng, new / f"random_{number:03}")
    shutil.rmtree(args.out, ignore_errors=True)
    new.rename(args.out)
    print(f"{args.count} nodes, onnx {onnx.__version__}, onnxruntime {onnxruntime.__version__}")


if __name__ == "__main__":
    main()
