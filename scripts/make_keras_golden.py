"""Makes tests/fixtures/keras_golden.safetensors: Keras's SimpleRNN, LSTM and GRU layers,
their weights and outputs, in every direction, merge mode and form of GRU:

    KERAS_BACKEND=torch python3 scripts/make_keras_golden.py

Needs keras, torch and safetensors; see scripts/requirements.txt.
"""

import json
from pathlib import Path

import keras
import numpy as np
from safetensors.numpy import save_file

OUT = Path(__file__).parent.parent / "tests/fixtures/keras_golden.safetensors"
N, T, I, H = 3, 5, 4, 6
LAYERS = {"SimpleRNN": keras.layers.SimpleRNN, "LSTM": keras.layers.LSTM, "GRU": keras.layers.GRU}
ACTIVATIONS = [("tanh", "sigmoid"), ("relu", "hard_sigmoid"), ("linear", "softsign"), ("softplus", "elu"), ("leaky_relu", "tanh")]


def cases():
    for layer in LAYERS:
        for reset_after in [True, False] if layer == "GRU" else [None]:
            for reads in ["forward", "backward", "concat", "sum", "mul", "ave"]:
                yield dict(layer=layer, reset_after=reset_after, reads=reads, use_bias=reads != "sum", activation="tanh", recurrent="sigmoid")
            for activation, recurrent in ACTIVATIONS[1:]:
                yield dict(layer=layer, reset_after=reset_after, reads="forward", use_bias=True, activation=activation, recurrent=recurrent)


def build(case):
    arguments = dict(activation=case["activation"], use_bias=case["use_bias"], return_sequences=True, return_state=True)
    if case["layer"] != "SimpleRNN":
        arguments["recurrent_activation"] = case["recurrent"]
    if case["reset_after"] is not None:
        arguments["reset_after"] = case["reset_after"]
    layer = LAYERS[case["layer"]]
    if case["reads"] in ("forward", "backward"):
        return layer(H, go_backwards=case["reads"] == "backward", **arguments)
    return keras.layers.Bidirectional(layer(H, **arguments), merge_mode=case["reads"])


def last(case, layer, x):
    """The same layer's output without return_sequences."""
    inner = layer.get_config()
    own = type(layer).from_config(inner)
    for part in (own, getattr(own, "forward_layer", None), getattr(own, "backward_layer", None)):
        if part is not None and hasattr(part, "return_sequences"):
            part.return_sequences = False
            part.return_state = False
    own.build(x.shape)
    own.set_weights(layer.get_weights())
    return np.asarray(keras.ops.convert_to_numpy(own(x)))


def main():
    rng = np.random.default_rng(0)
    tensors, entries = {}, []
    for number, case in enumerate(cases()):
        name = f"{number:03}"
        x = rng.uniform(-1, 1, (N, T, I)).astype(np.float32)
        layer = build(case)
        layer.build(x.shape)
        weights = [rng.uniform(-0.6, 0.6, weight.shape).astype(np.float32) for weight in layer.get_weights()]
        layer.set_weights(weights)
        outputs = [np.asarray(keras.ops.convert_to_numpy(value)) for value in layer(x)]
        entries.append(case | {"name": name, "weights": len(weights), "states": len(outputs) - 1})
        tensors[f"{name}/x"] = x
        tensors[f"{name}/sequences"] = outputs[0]
        tensors[f"{name}/last"] = last(case, layer, x)
        for i, weight in enumerate(weights):
            tensors[f"{name}/weight{i}"] = weight
        for i, state in enumerate(outputs[1:]):
            tensors[f"{name}/state{i}"] = state
    tensors = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
    save_file(tensors, OUT, {"cases": json.dumps(entries), "keras": keras.__version__})
    print(f"{len(entries)} cases, keras {keras.__version__}, {OUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
