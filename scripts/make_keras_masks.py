"""Makes tests/fixtures/keras_masks.safetensors: Keras's SimpleRNN, LSTM and GRU layers with masks: padding at the left
and at the right, holes, a sequence of nothing; forward, go_backwards and Bidirectional with each merge mode; with
zero_output_for_mask and without; from initial states; and stacks of two layers:

    KERAS_BACKEND=torch python3 scripts/make_keras_masks.py

Needs keras, torch and safetensors; see scripts/requirements.txt.
"""

import json
from pathlib import Path

import keras
import numpy as np
from safetensors.numpy import save_file

OUT = Path(__file__).parent.parent / "tests/fixtures/keras_masks.safetensors"
N, T, I, H = 5, 6, 3, 4
LAYERS = {"SimpleRNN": keras.layers.SimpleRNN, "LSTM": keras.layers.LSTM, "GRU": keras.layers.GRU}
MASK = np.array(
    [
        [0, 0, 1, 1, 1, 1],  # padding at the left
        [1, 1, 1, 0, 0, 0],  # at the right
        [1, 0, 1, 1, 0, 1],  # holes
        [0, 1, 0, 0, 1, 0],  # all of it
        [0, 0, 0, 0, 0, 0],  # nothing
    ],
    dtype=bool,
)


def cases():
    for layer in LAYERS:
        for reset_after in [True, False] if layer == "GRU" else [None]:
            for reads in ["forward", "backward", "concat", "sum", "mul", "ave"]:
                for zero in [False, True] if reads in ("forward", "backward") else [False]:
                    yield dict(layer=layer, reset_after=reset_after, reads=reads, zero=zero, stack=1)
            for reads in ["forward", "backward", "concat"]:
                yield dict(layer=layer, reset_after=reset_after, reads=reads, zero=False, stack=2)


def build(case, sequences):
    arguments = dict(return_sequences=sequences, return_state=sequences)
    if case["zero"] and sequences:
        arguments["zero_output_for_mask"] = True
    if case["reset_after"] is not None:
        arguments["reset_after"] = case["reset_after"]
    layer = LAYERS[case["layer"]]
    if case["reads"] in ("forward", "backward"):
        return layer(H, go_backwards=case["reads"] == "backward", **arguments)
    return keras.layers.Bidirectional(layer(H, **arguments), merge_mode=case["reads"])


def numpy(value):
    return np.asarray(keras.ops.convert_to_numpy(value))


def main():
    rng = np.random.default_rng(0)
    tensors, entries = {}, []
    for number, case in enumerate(cases()):
        name = f"{number:03}"
        x = rng.uniform(-1, 1, (N, T, I)).astype(np.float32)
        tensors[f"{name}/x"] = x
        count = (2 if case["layer"] == "LSTM" else 1) * (1 if case["reads"] in ("forward", "backward") else 2)
        for level in range(case["stack"]):
            # The next layer of a stack reads what this one gives, in the order in which it gives it.
            mask = MASK if level == 0 or case["reads"] != "backward" else MASK[:, ::-1].copy()
            layer, last = build(case, True), build(case, False)
            initial = [rng.uniform(-1, 1, (N, H)).astype(np.float32) for _ in range(count)]
            layer.build(x.shape)
            last.build(x.shape)
            weights = [rng.uniform(-0.6, 0.6, weight.shape).astype(np.float32) for weight in layer.get_weights()]
            layer.set_weights(weights)
            last.set_weights(weights)
            outputs = [numpy(value) for value in layer(x, mask=mask, initial_state=initial)]
            of = f"{name}/{level}"
            tensors[f"{of}/mask"] = mask.astype(np.uint8)
            tensors[f"{of}/sequences"] = outputs[0]
            tensors[f"{of}/last"] = numpy(last(x, mask=mask, initial_state=initial))
            for i, weight in enumerate(weights):
                tensors[f"{of}/weight{i}"] = weight
            for i, (first, final) in enumerate(zip(initial, outputs[1:])):
                tensors[f"{of}/initial{i}"] = first
                tensors[f"{of}/state{i}"] = final
            x = outputs[0]
        entries.append(case | {"name": name, "states": count})
    tensors = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
    save_file(tensors, OUT, {"cases": json.dumps(entries), "keras": keras.__version__})
    print(f"{len(entries)} cases, keras {keras.__version__}, {OUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
