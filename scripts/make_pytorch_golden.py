"""Makes tests/fixtures/pytorch_golden.safetensors: what PyTorch's recurrent
layers give for small seeded weights and inputs.

Everything is drawn as float32, computed in float64 and stored as float32, so the
only error in an expected value is its last rounding. Each case has

    case_NN/weight_ih_l0 ...    parameters under PyTorch's names
    case_NN/input               [N, T, I] if batch_first, else [T, N, I]
    case_NN/h0, case_NN/c0      [layers * directions, N, ...], where given
    case_NN/lengths             uint32, where given
    case_NN/output, hn, cn      what PyTorch returned (cn for LSTM only)

and an entry in the JSON list under the metadata key `cases`.

Run it with

    python3 scripts/make_pytorch_golden.py

Needs torch, numpy and safetensors; see scripts/requirements.txt.
"""

import itertools
import json
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

OUT = Path(__file__).resolve().parent.parent / "tests" / "fixtures" / "pytorch_golden.safetensors"
MAX_BYTES = 2_000_000
SEED = 64

CELLS = ["elman_tanh", "elman_relu", "lstm", "lstm_proj", "gru"]
SWITCHES = ["bias", "batch_first", "lengths", "state"]
SIZES = [1, 3, 4, 5, 7, 8, 9, 13, 16, 17, 31, 33]
MAX_PARAMETERS = 20_000  # of one case, to keep the file small

# Corners that the drawn cases may miss.
CORNERS = [
    dict(cell="elman_tanh", layers=1, bidirectional=False, bias=True, batch_first=False,
         lengths=None, state=True, T=1, N=1, I=1, H=1, P=0),
    dict(cell="lstm_proj", layers=2, bidirectional=True, bias=True, batch_first=True,
         lengths=[1, 12, 2, 11, 1, 12, 6], state=True, T=12, N=7, I=5, H=17, P=1),
    # No sequence as long as the padding.
    dict(cell="gru", layers=2, bidirectional=True, bias=True, batch_first=False,
         lengths=[3, 9, 1], state=True, T=12, N=3, I=33, H=13, P=0),
    dict(cell="lstm", layers=1, bidirectional=False, bias=False, batch_first=True,
         lengths=[5, 5, 5], state=False, T=5, N=3, I=1, H=33, P=0),
]


def make_module(spec):
    cell = spec["cell"]
    options = dict(num_layers=spec["layers"], bidirectional=spec["bidirectional"],
                   bias=spec["bias"], batch_first=spec["batch_first"], dtype=torch.float64)
    if cell == "gru":
        return torch.nn.GRU(spec["I"], spec["H"], **options)
    if cell in ("lstm", "lstm_proj"):
        return torch.nn.LSTM(spec["I"], spec["H"], proj_size=spec["P"], **options)
    return torch.nn.RNN(spec["I"], spec["H"], nonlinearity=cell.removeprefix("elman_"), **options)


def draw_specs(rng, sizes, max_parameters):
    """Two cases for each cell, number of layers and number of directions; the
    second has every switch the other way, so each is seen on and off there."""
    specs = []
    for cell in CELLS:
        stacks = list(itertools.product([1, 2, 3], [False, True]))
        # Six of the eight opposite pairs still show every two switches together.
        codes = rng.permutation(8)[: len(stacks)]
        for (layers, bidirectional), code in zip(stacks, codes):
            for bits in (code, 15 - code):
                on = {name: bool(bits >> i & 1) for i, name in enumerate(SWITCHES)}
                T, N = int(rng.integers(1, 13)), int(rng.integers(1, 8))
                if on["lengths"]:
                    T, N = max(T, 3), max(N, 2)
                    on["lengths"] = [int(n) for n in rng.integers(1, T + 1, N)]
                else:
                    on["lengths"] = None
                specs.append(dict(cell=cell, layers=layers, bidirectional=bidirectional,
                                  T=T, N=N, **on, **draw_sizes(rng, cell, layers, bidirectional,
                                                              sizes, max_parameters)))
    return specs


def draw_sizes(rng, cell, layers, bidirectional, sizes, max_parameters):
    while True:
        I, H = (int(n) for n in rng.choice(sizes, 2))
        P = 0
        if cell == "lstm_proj":
            smaller = [n for n in sizes if n < H]  # as PyTorch requires
            if not smaller:
                continue
            P = int(rng.choice(smaller))
        gates = {"lstm": 4, "lstm_proj": 4, "gru": 3}.get(cell, 1)
        directions = 1 + bidirectional
        state = P or H
        inputs = I + (layers - 1) * directions * state
        parameters = directions * (gates * H * (inputs + layers * (state + 2)) + layers * P * H)
        if parameters <= max_parameters:
            return dict(I=I, H=H, P=P)


def check_coverage(specs, sizes):
    features = [{"cell": s["cell"], "layers": s["layers"], "bidirectional": s["bidirectional"],
                 "bias": s["bias"], "batch_first": s["batch_first"],
                 "lengths": s["lengths"] is not None, "state": s["state"]} for s in specs]
    for a, b in itertools.combinations(features[0], 2):
        seen = {(f[a], f[b]) for f in features}
        assert len(seen) == len({f[a] for f in features}) * len({f[b] for f in features}), (a, b)
    for cell in CELLS:
        for a, b in itertools.combinations(SWITCHES, 2):
            assert len({(f[a], f[b]) for f in features if f["cell"] == cell}) == 4, (cell, a, b)
    assert {s["H"] for s in specs} == {s["I"] for s in specs} == set(sizes)
    assert {s["T"] for s in specs} == set(range(1, 13))
    assert {s["N"] for s in specs} == set(range(1, 8))


def draw_tensors(rng, spec):
    """The case's module and what goes into it, all float32 but the lengths."""
    module = make_module(spec)
    tensors = {}
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            # Wider than PyTorch's own, which lets a deep LSTM's output fade to nothing.
            bound = 1.5 * parameter.shape[-1] ** -0.5 if name.startswith("weight") else 0.5
            tensors[name] = rng.uniform(-bound, bound, tuple(parameter.shape)).astype(np.float32)
            parameter.copy_(torch.from_numpy(tensors[name]))

    T, N, I, H = spec["T"], spec["N"], spec["I"], spec["H"]
    shape = (N, T, I) if spec["batch_first"] else (T, N, I)
    tensors["input"] = rng.standard_normal(shape).astype(np.float32)
    if spec["state"]:
        for name, shape in state_shapes(spec).items():
            tensors[name] = rng.uniform(-1, 1, shape).astype(np.float32)
    if spec["lengths"] is not None:
        tensors["lengths"] = np.array(spec["lengths"], dtype=np.uint32)
    return module, tensors


def state_shapes(spec):
    rows = spec["layers"] * (1 + spec["bidirectional"])
    shapes = {"h0": (rows, spec["N"], spec["P"] or spec["H"])}
    if spec["cell"].startswith("lstm"):
        shapes["c0"] = (rows, spec["N"], spec["H"])
    return shapes


def forward(module, spec, x, h0=None, c0=None):
    """What PyTorch gives for float64 tensors: output, hn and, for LSTM, cn."""
    state = h0 if c0 is None else (h0, c0)
    if spec["lengths"] is None:
        output, last = module(x, state)
    else:
        packed = pack_padded_sequence(x, torch.tensor(spec["lengths"]),
                                      batch_first=spec["batch_first"], enforce_sorted=False)
        output, last = module(packed, state)
        # Without total_length the output would end at the longest sequence.
        output, _ = pad_packed_sequence(output, batch_first=spec["batch_first"],
                                        total_length=spec["T"])
    results = {"output": output}
    if spec["cell"].startswith("lstm"):
        results["hn"], results["cn"] = last
    else:
        results["hn"] = last
    assert all(value.dtype == torch.float64 for value in results.values())
    return results


def double(array):
    return torch.from_numpy(array.astype(np.float64))


def single(tensor):
    return np.ascontiguousarray(tensor.detach().numpy().astype(np.float32))


def run_case(rng, spec):
    """The case's tensors, all float32 but the lengths."""
    module, tensors = draw_tensors(rng, spec)
    inputs = [double(tensors[name]) for name in ("input", "h0", "c0") if name in tensors]
    with torch.no_grad():
        results = forward(module, spec, *inputs)
    return tensors | {name: single(value) for name, value in results.items()}


def draw_case(rng, spec):
    """Draws again while the output is too small to show an error (a ReLU unit can
    stay at 0) or grows without bound."""
    while True:
        tensors = run_case(rng, spec)
        if 0.1 < np.abs(tensors["output"]).max() < 10:
            return tensors


def write(path, tensors, metadata):
    """Writes a safetensors file and returns its size. The package leaves the order
    of the metadata to chance; sorting the header makes the file reproducible."""
    data = save(tensors, metadata=metadata)
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8:end]), sort_keys=True).encode()
    header += b" " * (-len(header) % 8)  # the tensors start aligned
    data = len(header).to_bytes(8, "little") + header + data[end:]
    path.write_bytes(data)
    return len(data)


def entry(name, spec):
    """The case in the list under the metadata key `cases`."""
    return {
        "name": name,
        "cell": "lstm" if spec["cell"] == "lstm_proj" else spec["cell"],
        "input_size": spec["I"],
        "hidden_size": spec["H"],
        "proj_size": spec["P"],
        "layers": spec["layers"],
        "bidirectional": spec["bidirectional"],
        "bias": spec["bias"],
        "batch_first": spec["batch_first"],
    }


def made_by(script):
    return {"made_by": f"scripts/{Path(script).name}", "torch": torch.__version__.split("+")[0]}


def main():
    torch.set_num_threads(1)
    rng = np.random.default_rng(SEED)
    specs = draw_specs(rng, SIZES, MAX_PARAMETERS) + CORNERS
    check_coverage(specs, SIZES)

    tensors, cases = {}, []
    for number, spec in enumerate(specs):
        name = f"case_{number:02}"
        tensors |= {f"{name}/{key}": value for key, value in draw_case(rng, spec).items()}
        cases.append(entry(name, spec))
    metadata = {"cases": json.dumps(cases)} | made_by(__file__)
    size = write(OUT, tensors, metadata)
    assert size < MAX_BYTES, size
    print(f"{OUT.name}: {len(cases)} cases, {size} bytes")


if __name__ == "__main__":
    main()
