"""Makes the speaker example's weights, which are not committed, and its test.

From the PyPI package resemblyzer 0.1.4 this writes

    target/speakers/resemblyzer.safetensors
        the weights of its speaker encoder, 5.7 MB
    examples/audio/speakers/LICENSE-APACHE-resemblyzer.txt
        the package's licence
    tests/fixtures/speakers/*.wav
        two sentences of each of four voices, 16 kHz, 8 bits a sample, by espeak-ng
    tests/fixtures/speakers/answers.safetensors
        librosa's mel spectrogram of two windows, what the package's network makes of them,
        and its embeddings of files
    tests/fixtures/speakers/windows.json
        the first frames of its windows, for files of many lengths

Run it with

    python3 scripts/make_speakers.py --weights  the weights only, which is what the example needs
    python3 scripts/make_speakers.py            all of it
    ... --wheel FILE                            uses a wheel already here; else pip fetches it
    ... --out FILE                              writes the weights to another place
    ... --keep-audio                            keeps the committed audio

The package's file has the state of its optimiser too, two thirds of its size, which is left
out. Its code runs as it is, but for webrtcvad, with which it cuts silences out: that step is
left out here and in the example.

Needs numpy, torch and safetensors for the weights; for the rest scipy and librosa too (see
scripts/requirements.txt), and espeak-ng (Debian's package of that name) for the audio.
"""

import argparse
import io
import json
import subprocess
import sys
import tempfile
import types
import wave
from pathlib import Path

import numpy as np
import torch
from packages import unpack_wheel
from safetensors.numpy import save_file

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "audio" / "speakers"
FIXTURES = ROOT / "tests" / "fixtures" / "speakers"
OUT = ROOT / "target" / "speakers" / "resemblyzer.safetensors"
PACKAGE = "resemblyzer==0.1.4"
WHEEL_SHA256 = "8f12eb2f1a9982d32e8db7856de754709b59c93a77bcf0ff536584b619a9dd1f"
RATE, WINDOW = 16000, 160

# Name of the files, then voice and words a minute for espeak-ng; no two files have the same words.
VOICES = {
    "anna": ("en-us+f3", 175, ["Recurrent networks remember.", "Nobody heard the second bell."]),
    "ben": ("en-us", 155, ["Seven boats left the harbour.", "Please close the other window."]),
    "carla": ("it+f4", 155, ["Oggi il mare era molto calmo.", "Domani mattina torniamo a casa."]),
    "dirk": ("de+m7", 145, ["Morgen wird es wieder regnen.", "Wir haben sehr lange gewartet."]),
}
# What a file is divided by, and the samples kept of one, for the quiet and the short file.
QUIET, SHORT = 16, 9000


def speech(voice, pace, words):
    """int8 at 16 kHz, the silence around the words cut off, the loudest sample 100."""
    from scipy.signal import resample_poly

    command = ["espeak-ng", "-v", voice, "-s", str(pace), "--stdout", words]
    out = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    with wave.open(io.BytesIO(out.stdout)) as file:
        rate = file.getframerate()
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float64)
    samples = resample_poly(samples, RATE * 10, rate * 10)
    loud = np.flatnonzero(abs(samples) > 100)
    samples = samples[loud[0] : loud[-1]]
    return np.round(samples * (100 / abs(samples).max())).astype(np.int8)


def write_wav(path, samples):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(RATE)
        # Samples of 8 bits are unsigned in WAV files.
        file.writeframes((samples.astype(np.int16) + 128).astype(np.uint8).tobytes())


def read_wav(path):
    """float32 from -1 to 1."""
    with wave.open(str(path)) as file:
        data = file.readframes(file.getnframes())
        if file.getsampwidth() == 1:
            return (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / 128
        return np.frombuffer(data, np.int16).astype(np.float32) / 32768


def answers(folder):
    """What the package's own code gives."""
    sys.path.insert(0, str(folder))
    sys.modules["webrtcvad"] = types.ModuleType("webrtcvad")
    import librosa
    from resemblyzer import VoiceEncoder
    from resemblyzer.audio import normalize_volume, wav_to_mel_spectrogram
    from resemblyzer.hparams import audio_norm_target_dBFS

    encoder = VoiceEncoder("cpu", verbose=False)
    paths = [*sorted(FIXTURES.glob("*.wav")), FIXTURES.parent / "vad_speech.wav"]
    files = {path.stem: read_wav(path) for path in paths}
    files["quiet"] = files["anna_1"] / np.float32(QUIET)
    files["short"] = files["ben_1"][:SHORT]

    found = {}
    for name, wav in files.items():
        louder = normalize_volume(wav, audio_norm_target_dBFS, increase_only=True)
        found[f"embedding.{name}"] = encoder.embed_utterance(louder)
    # The beginning of one file, the end of another.
    first, last = (wav_to_mel_spectrogram(files[name]) for name in ("anna_1", "vad_speech"))
    found["mels"] = np.stack([first[:WINDOW], last[-WINDOW:]])
    with torch.no_grad():
        found["windows"] = encoder(torch.from_numpy(found["mels"])).numpy()
    FIXTURES.mkdir(parents=True, exist_ok=True)
    # One entry: of several, safetensors would write any order.
    source = {"source": f"{PACKAGE}, librosa {librosa.__version__}, torch {torch.__version__}"}
    found = {name: np.ascontiguousarray(array) for name, array in found.items()}
    save_file(found, FIXTURES / "answers.safetensors", metadata=source)

    lengths = [1, 159, 160, 9000, 19199, 19200, 25439, 25440, 25599, 25600, 25601, 31519, 31520, 31521, 37919, 37920, 50000]
    lengths += [160 * 77 * k + rest for k in (2, 3, 9) for rest in range(-200, 26000, 2733)]
    starts = {n: [int(part.start) for part in encoder.compute_partial_slices(n, 1.3, 0.75)[1]] for n in lengths}
    (FIXTURES / "windows.json").write_text(json.dumps(starts) + "\n")
    names = [path.stem for path in paths[:-1]]
    table = np.stack([found[f"embedding.{name}"] for name in names])
    print(names)
    print(np.round(table @ table.T, 3))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--wheel", type=Path)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--weights", action="store_true")
    parser.add_argument("--keep-audio", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        unpack_wheel(PACKAGE, WHEEL_SHA256, args.wheel, folder)
        checkpoint = torch.load(Path(folder) / "resemblyzer" / "pretrained.pt", map_location="cpu", weights_only=True)
        # Two scalars are for training only.
        parts = ("lstm.", "linear.")
        tensors = {name: tensor.numpy() for name, tensor in checkpoint["model_state"].items() if name.startswith(parts)}
        args.out.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, args.out, metadata={"source": f"{PACKAGE}, Apache-2.0"})
        print(f"{args.out}: {sum(tensor.size for tensor in tensors.values())} weights")
        if args.weights:
            return
        EXAMPLE.mkdir(parents=True, exist_ok=True)
        (licence,) = Path(folder).glob("*.dist-info/LICENSE")
        (EXAMPLE / "LICENSE-APACHE-resemblyzer.txt").write_bytes(licence.read_bytes())
        if not args.keep_audio:
            FIXTURES.mkdir(parents=True, exist_ok=True)
            for name, (voice, pace, sentences) in VOICES.items():
                for i, words in enumerate(sentences):
                    samples = speech(voice, pace, words)
                    print(f"{name}_{i + 1}: {len(samples) / RATE:.2f} s")
                    write_wav(FIXTURES / f"{name}_{i + 1}.wav", samples)
        answers(Path(folder))


if __name__ == "__main__":
    main()
