"""Makes tests/fixtures/keras_files: a model of Keras in its three formats of files, and what its layers compute.

`expected.safetensors` has `input` [N, T, I] and for each layer `NAME/output`, [N, T, ·], and a JSON list of the layers under the
metadata key `cases`, each with its names in new and old files.

    KERAS_BACKEND=torch python3 scripts/make_keras_files.py

Needs keras, torch, h5py and safetensors; see scripts/requirements.txt.
"""

import json
import shutil
from pathlib import Path

import keras
import numpy as np
from keras import layers
from safetensors.numpy import save_file

OUT = Path(__file__).resolve().parent.parent / "tests" / "fixtures" / "keras_files"


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    keras.utils.set_random_seed(0)
    parts = {
        "lstm": ("lstm", layers.LSTM(4, return_sequences=True, name="first", dropout=0.5)),
        "gru": ("gru", layers.GRU(3, return_sequences=True, name="second")),
        "gru_1": ("gru_reset_before", layers.GRU(3, return_sequences=True, reset_after=False, name="third")),
        "simple_rnn": ("elman_tanh", layers.SimpleRNN(3, return_sequences=True, use_bias=False, name="fourth")),
        "bidirectional": ("gru", layers.Bidirectional(layers.GRU(2, return_sequences=True), name="both")),
    }
    x = keras.Input((5, 3))
    model = keras.Model(x, [layer(x) for _, layer in parts.values()])
    # Biases that are not zero.
    rng = np.random.default_rng(0)
    model.set_weights([weight + 0.1 * rng.standard_normal(weight.shape).astype(weight.dtype) for weight in model.get_weights()])
    values = rng.standard_normal((2, 5, 3)).astype(np.float32)
    outputs = [keras.ops.convert_to_numpy(y) for y in model(values, training=False)]
    model.save(OUT / "model.keras")
    model.save_weights(OUT / "model.weights.h5")
    model.save(OUT / "model.h5")
    arrays = {"input": values} | {f"{name}/output": y for name, y in zip(parts, outputs)}
    cases = [{"name": name, "file": "", "cell": cell, "prefix": layer.name} for name, (cell, layer) in parts.items()]

    # Numbers of 16 bits.
    for dtype in ("float16", "bfloat16"):
        x = keras.Input((5, 3), dtype=dtype)
        small = keras.Model(x, layers.LSTM(2, return_sequences=True, dtype=dtype, recurrent_initializer="glorot_uniform")(x))
        small.save_weights(OUT / f"{dtype}.weights.h5")
        wide = layers.LSTM(2, return_sequences=True)
        wide.build((2, 5, 3))
        wide.set_weights([np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(w, "float32"))) for w in small.weights])
        arrays[f"{dtype}/output"] = keras.ops.convert_to_numpy(wide(values))
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, OUT / "expected.safetensors", {"cases": json.dumps(cases)})
    print(f"{len(cases)} layers, {sum(path.stat().st_size for path in OUT.iterdir()):,} bytes")


if __name__ == "__main__":
    main()
