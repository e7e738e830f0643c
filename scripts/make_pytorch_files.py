"""Makes tests/fixtures/pytorch_files: files of torch.save and torch.jit.save in every form, and what PyTorch computes with
the weights in them.

`expected.safetensors` has for each case `NAME/input`, [T, N, I], and `NAME/output`, computed in float64 from the numbers in the
file, and a JSON list of the cases under the metadata key `cases`. Files in `refused` hold what no reader should read.

Run it with

    python3 scripts/make_pytorch_files.py

Needs torch, numpy and safetensors; see scripts/requirements.txt.
"""

import collections
import copy
import json
import os
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save
from torch import nn

OUT = Path(__file__).resolve().parent.parent / "tests" / "fixtures" / "pytorch_files"
REFUSED = OUT / "refused"
OLD = {"_use_new_zipfile_serialization": False}

cases, arrays = [], {}


def cell_of(module):
    kind = type(module).__name__.removesuffix("Cell").lower()
    return {"rnn": f"elman_{getattr(module, 'nonlinearity', 'tanh')}"}.get(kind, kind)


def expected(name, module, prefix, file=None, **entry):
    """Records what the module computes in float64."""
    wide = copy.deepcopy(module).double()
    is_cell = type(module).__name__.endswith("Cell")
    x = torch.randn(5, 2, module.input_size)
    with torch.no_grad():
        if is_cell:
            state, steps = None, []
            for step in x.double():
                state = wide(step, state)
                steps.append(state[0] if isinstance(state, tuple) else state)
            y = torch.stack(steps)
        else:
            y = wide(x.double())[0]
    arrays[f"{name}/input"] = x.numpy()
    arrays[f"{name}/output"] = y.float().numpy()
    cases.append({"name": name, "file": file or f"{name}.pt", "cell": cell_of(module), "prefix": prefix, **entry})


def write(name, module, wrap=lambda state: state, prefix="", state=None, **options):
    state = module.state_dict() if state is None else state
    torch.save(wrap(state), OUT / f"{name}.pt", **options)
    expected(name, module, prefix)


def prefixed(prefix, state):
    return collections.OrderedDict((prefix + name, tensor) for name, tensor in state.items())


def repack(source, target, change=lambda name, data: data, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", method) as new:
        for name in old.namelist():
            # The same bytes whenever the script runs.
            new.writestr(zipfile.ZipInfo(name, (2000, 1, 1, 0, 0, 0)), change(name, old.read(name)), method)


class Tagger(nn.Module):
    """An embedding, two recurrent modules, norms, a convolution and two dense layers."""

    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(7, 3)
        self.lstm = nn.LSTM(3, 4, bidirectional=True)
        self.norm = nn.LayerNorm(8)
        self.conv = nn.Conv1d(8, 5, 3, padding=1)
        self.bn = nn.BatchNorm1d(5)
        self.gru = nn.GRU(5, 3, num_layers=2)
        self.mid = nn.Linear(3, 4)
        self.fc = nn.Linear(4, 2, bias=False)

    def forward(self, symbols):  # [T, N]
        x = self.norm(self.lstm(self.emb(symbols))[0])
        x = self.bn(self.conv(x.permute(1, 2, 0))).permute(2, 0, 1)
        return self.fc(torch.tanh(self.mid(self.gru(x)[0])))


class Attack:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def main():
    torch.manual_seed(0)
    shutil.rmtree(OUT, ignore_errors=True)
    REFUSED.mkdir(parents=True)

    # Modules of each kind, in both forms.
    modules = {
        "lstm": nn.LSTM(3, 4),
        "gru": nn.GRU(2, 3, num_layers=2, bidirectional=True),
        "rnn": nn.RNN(3, 4, nonlinearity="relu", bias=False),
        "proj": nn.LSTM(3, 5, num_layers=2, proj_size=2),
        "cell": nn.GRUCell(3, 4),
    }
    for name, module in modules.items():
        write(name, module)
        write(f"{name}_old", module, **OLD)
    for protocol in (3, 4, 5):
        write(f"protocol{protocol}", modules["lstm"], pickle_protocol=protocol)
    for name, dtype in [("f16", torch.float16), ("bf16", torch.bfloat16), ("f64", torch.float64)]:
        module = nn.LSTM(2, 3).to(dtype)
        write(name, module)
        write(f"{name}_old", module, **OLD)

    # Wrapped, nested, beside other things.
    lstm = modules["lstm"]
    for name, prefix in [("parallel", "module."), ("compiled", "_orig_mod."), ("both", "module._orig_mod.")]:
        write(name, lstm, state=prefixed(f"{prefix}encoder.", lstm.state_dict()), prefix="encoder.")
    step = nn.LSTM(3, 4)
    optimizer = torch.optim.Adam(step.parameters())
    step(torch.ones(2, 1, 3))[0].sum().backward()
    optimizer.step()
    beside = {"epoch": 3, "optimizer_state_dict": optimizer.state_dict(), "loss": 0.5, "args": {"lr": 1e-3, "names": ["a", None]}}
    write("model_state_dict", step, lambda state: {**beside, "model_state_dict": state})
    write("state_dict", step, lambda state: {"state_dict": dict(state), "pytorch-lightning_version": "2.0", "loops": {}})
    write("model_key", step, lambda state: {"model": state, "ema": state}, **OLD)
    write("any_key", step, lambda state: {"generator": prefixed("module.", state), "step": np.float64(1.5)})
    write("parameters", lstm, state=dict(lstm.named_parameters()))
    write("beside_others", lstm, state={**prefixed("rnn.", lstm.state_dict()), **prefixed("bn.", nn.BatchNorm1d(2).state_dict())}, prefix="rnn.")

    # Strides, offsets, shared storages.
    def strided(module):
        state = module.state_dict()
        state["weight_ih_l0"] = state["weight_ih_l0"].t().contiguous().t()
        flat = torch.cat([torch.ones(3), state["bias_ih_l0"], state["bias_hh_l0"]])
        rows = len(state["bias_ih_l0"])
        state["bias_ih_l0"], state["bias_hh_l0"] = flat[3 : 3 + rows], flat[3 + rows :]
        wide = torch.zeros(rows, 2 * module.hidden_size)
        wide[:, ::2] = state["weight_hh_l0"]
        state["weight_hh_l0"] = wide[:, ::2]
        return state

    write("strided", lstm, state=strided(lstm))
    write("strided_old", lstm, state=strided(lstm), **OLD)
    with torch.no_grad():
        even = nn.GRU(2, 3)
        even.bias_ih_l0.fill_(0.25)
        even.weight_ih_l0.copy_(even.weight_ih_l0[:, :1].expand(-1, 2).clone())
    state = even.state_dict()
    state["bias_ih_l0"] = torch.tensor(0.25).expand(9)
    state["weight_ih_l0"] = state["weight_ih_l0"][:, :1].clone().expand(-1, 2)
    write("expanded", even, state=state)
    shared = nn.RNN(3, 3, num_layers=2)
    shared.weight_hh_l1 = shared.weight_hh_l0
    shared.bias_hh_l1 = shared.bias_ih_l1 = shared.bias_hh_l0
    write("shared", shared)
    write("shared_old", shared, **OLD)

    # Archives that PyTorch does not write on this machine.
    def swap(name, data):
        if name.endswith("byteorder"):
            return b"big"
        return np.frombuffer(data, "<f4").astype(">f4").tobytes() if "/data/" in name else data

    repack(OUT / "lstm.pt", OUT / "big_endian.pt", swap)
    expected("big_endian", lstm, "")
    repack(OUT / "lstm.pt", OUT / "deflated.pt", method=zipfile.ZIP_DEFLATED)
    expected("deflated", lstm, "")

    torch.serialization.set_crc32_options(False)
    write("unchecked", lstm)
    torch.serialization.set_crc32_options(True)

    # TorchScript.
    script = nn.Sequential(nn.Linear(2, 3), nn.LSTM(3, 4, num_layers=2))
    torch.jit.script(script).save(OUT / "script.pt")
    expected("script", script[1], "1.")
    torch.jit.trace(script, torch.ones(2, 1, 2)).save(OUT / "traced.pt")
    expected("traced", script[1], "1.")

    # A whole model.
    tagger = Tagger()
    tagger.train()
    with torch.no_grad():
        tagger(torch.randint(7, (6, 3)))
    tagger.eval()
    symbols = torch.randint(7, (6, 3))
    with torch.no_grad():
        y = copy.deepcopy(tagger).double()(symbols).float().numpy()
    torch.save(tagger.state_dict(), OUT / "tagger.pt")
    torch.save({"model": prefixed("module.", tagger.state_dict()), "epoch": 1}, OUT / "tagger_nested.pt", **OLD)
    arrays["tagger/symbols"] = symbols.numpy().astype(np.uint32)
    arrays["tagger/output"] = y
    for name, tensor in tagger.state_dict().items():
        arrays[f"tagger/{name}"] = tensor.numpy()

    # What is refused, or refused where it is asked for.
    torch.save(lstm, REFUSED / "module.pt")
    torch.save(tagger, REFUSED / "model.pt")
    torch.save(lstm, REFUSED / "module_old.pt", **OLD)
    torch.save({"weight_ih_l0": Attack(os.system, "true")}, REFUSED / "system.pt")
    torch.save({"weight_ih_l0": Attack(eval, "1")}, REFUSED / "eval.pt")
    torch.save({"weight_ih_l0": Attack(eval, "1")}, REFUSED / "eval_old.pt", **OLD)
    torch.save({"a": torch.ones(2, dtype=torch.complex64), "b": torch.ones(1)}, REFUSED / "complex.pt")
    torch.save({"a": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8), "b": torch.ones(1)}, REFUSED / "quantised.pt")
    torch.save({"a": torch.eye(2).to_sparse(), "b": torch.ones(1)}, REFUSED / "sparse.pt")
    torch.save({"a": torch.ones(2, dtype=torch.int64), "b": torch.ones(1)}, REFUSED / "whole.pt")
    torch.save({"a": torch.ones(2).to(torch.float8_e4m3fn), "b": torch.ones(1)}, REFUSED / "float8.pt")
    torch.save({"epoch": 1}, REFUSED / "nothing.pt")
    with open(REFUSED / "plain.pkl", "wb") as file:
        pickle.dump({"a": [1.0]}, file)

    metadata = {"cases": json.dumps(cases)}
    (OUT / "expected.safetensors").write_bytes(save(arrays, metadata))
    size = sum(path.stat().st_size for path in OUT.rglob("*") if path.is_file())
    print(f"{len(cases)} cases, {size:,} bytes")


if __name__ == "__main__":
    main()
