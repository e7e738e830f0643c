"""Makes the voice activity example's weights and its test.

From the PyPI package silero-vad 6.2.3 this writes

    examples/audio/vad/silero_vad_16k.safetensors   the weights of its model
    examples/audio/vad/LICENSE-silero-vad.txt       the package's licence
    tests/fixtures/vad_speech.wav             speech with pauses, 16 kHz, by espeak-ng
    tests/fixtures/vad_speech.json            ONNX Runtime's probabilities of it on the
                                              package's model, and its speech segments

Run it with

    python3 scripts/make_vad.py               fetches the package with pip
    python3 scripts/make_vad.py --wheel FILE  uses a wheel already here
    ... --keep-audio                          keeps the committed audio

The weights are those of the package's ONNX models, all of which have the same for 16 kHz.
The safetensors file that lies beside them there has others, of another training, and
gives probabilities that differ by hundredths.

Needs numpy, scipy, safetensors, torch, onnx and onnxruntime (see scripts/requirements.txt), and espeak-ng
(Debian's package of that name) for the audio.
"""

import argparse
import importlib.util
import io
import json
import subprocess
import sys
import tempfile
import wave
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper
from packages import unpack_wheel
from safetensors.numpy import save_file
from scipy.signal import resample_poly

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "audio" / "vad"
FIXTURES = ROOT / "tests" / "fixtures"
PACKAGE = "silero-vad==6.2.3"
WHEEL_SHA256 = "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8"
RATE, CHUNK, CONTEXT = 16000, 512, 64

# Voice, words a minute, seconds of silence before, words.
SPEECH = [
    ("en-us", 150, 0.9, "Recurrent networks remember what they heard."),
    ("en-gb+f3", 170, 1.4, "Does anybody speak?"),
    ("de", 140, 0.25, "Ja, hier spricht jemand."),
    ("fr+f2", 160, 0.8, "Oui."),
]


def speech():
    """int16 at 16 kHz: the sentences with pauses between, over noise 50 dB below them."""
    parts = []
    for voice, pace, pause, words in SPEECH:
        out = subprocess.run(["espeak-ng", "-v", voice, "-s", str(pace), "--stdout", words], stdout=subprocess.PIPE, check=True)
        with wave.open(io.BytesIO(out.stdout)) as file:
            rate = file.getframerate()
            samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
        samples = samples[: 2 * (len(samples) // 2)].astype(np.float64)
        parts += [np.zeros(int(pause * RATE)), resample_poly(samples, RATE * 10, rate * 10) * 0.5]
    audio = np.concatenate([*parts, np.zeros(RATE // 2)])
    audio += np.random.default_rng(0).normal(0, 30, len(audio))
    return np.clip(np.round(audio), -32768, 32767).astype(np.int16)


def weights(model):
    """The model's arrays under PyTorch's names, short ones."""
    held = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(model).graph.initializer}
    names = {"stft_conv.weight": "stft.forward_basis_buffer"}
    for part in ("weight", "bias"):
        names |= {f"conv{i + 1}.{part}": f"encoder.{i}.reparam_conv.{part}" for i in range(4)}
        names[f"final_conv.{part}"] = f"decoder.decoder.2.{part}"
        names |= {f"lstm_cell.{part}_{product}": f"decoder.rnn.{part}_{product}" for product in ("ih", "hh")}
    return {name: np.ascontiguousarray(held[f"model.{theirs}"]) for name, theirs in names.items()}


def probabilities(model, audio):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    state, context = np.zeros((2, 1, 128), np.float32), np.zeros((1, CONTEXT), np.float32)
    found = []
    for start in range(0, len(audio), CHUNK):
        chunk = np.zeros((1, CHUNK), np.float32)
        part = audio[start : start + CHUNK]
        chunk[0, : len(part)] = part
        x = np.concatenate([context, chunk], axis=1)
        out, state = session.run(None, {"input": x, "state": state, "sr": np.array(RATE, np.int64)})
        context = x[:, -CONTEXT:]
        found.append(float(out[0, 0]))
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--wheel", type=Path)
    parser.add_argument("--keep-audio", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        unpack_wheel(PACKAGE, WHEEL_SHA256, args.wheel, folder)
        package = Path(folder) / "silero_vad"
        EXAMPLE.mkdir(exist_ok=True)
        tensors = weights(package / "data" / "silero_vad_16k_op15.onnx")
        save_file(tensors, EXAMPLE / "silero_vad_16k.safetensors")
        (licence,) = Path(folder).glob("*.dist-info/licenses/LICENSE")
        (EXAMPLE / "LICENSE-silero-vad.txt").write_bytes(licence.read_bytes())

        path = FIXTURES / "vad_speech.wav"
        if not args.keep_audio:
            with wave.open(str(path), "wb") as file:
                file.setnchannels(1)
                file.setsampwidth(2)
                file.setframerate(RATE)
                file.writeframes(speech().tobytes())
        with wave.open(str(path)) as file:
            audio = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768

        found = probabilities(str(package / "data" / "silero_vad.onnx"), audio)
        sys.path.insert(0, folder)
        spec = importlib.util.spec_from_file_location("utils_vad", package / "utils_vad.py")
        utils = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(utils)
        segments = utils.get_speech_timestamps_from_probs(found, sampling_rate=RATE, audio_length_samples=len(audio))
    answers = {
        "model": PACKAGE,
        "onnxruntime": onnxruntime.__version__,
        "probabilities": found,
        "segments": [[segment["start"], segment["end"]] for segment in segments],
    }
    (FIXTURES / "vad_speech.json").write_text(json.dumps(answers, indent=1) + "\n")
    print(f"{len(audio) / RATE:.1f} s, {len(found)} probabilities, {answers['segments']}")


if __name__ == "__main__":
    main()
