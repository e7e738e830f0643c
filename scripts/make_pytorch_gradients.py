"""Makes tests/fixtures/pytorch_gradients.safetensors: the gradients of PyTorch's
recurrent layers for small seeded weights, inputs and gradients of the outputs.

Everything is drawn as float32, computed in float64 and stored as float32, so the
only error in an expected value is its last rounding. The loss is

    sum(output * dy) + sum(hn * dhn) + sum(cn * dcn)

and each case has

    case_NN/weight_ih_l0 ...    parameters under PyTorch's names
    case_NN/input               [N, T, I] if batch_first, else [T, N, I]
    case_NN/h0, case_NN/c0      [layers * directions, N, ...], where given
    case_NN/lengths             uint32, where given
    case_NN/dy                  like the output; drawn in the padding too, where
                                the output is 0 whatever goes in
    case_NN/dhn, case_NN/dcn    like the last states (dcn for LSTM only)
    case_NN/grad/NAME           the loss's gradient by each parameter, input, h0 and
                                c0; with no initial state given, by one of zeros

and an entry in the JSON list under the metadata key `cases`.

A rounding must not take a ReLU to its other side: no case has a pre-activation
near 0.

Run it with

    python3 scripts/make_pytorch_gradients.py

Needs what make_pytorch_golden.py needs; see scripts/requirements.txt.
"""

import json

import numpy as np
import torch

from make_pytorch_golden import (CELLS, OUT as GOLDEN, check_coverage, double, draw_specs,
                                 draw_tensors, entry, forward, made_by, single, state_shapes,
                                 write)

OUT = GOLDEN.with_name("pytorch_gradients.safetensors")
MAX_BYTES = 1_600_000
SEED = 90

SIZES = [1, 3, 4, 5, 8, 15, 16, 17, 31, 33]
MAX_PARAMETERS = 5_000
MARGIN = 1e-3  # of a ReLU's pre-activation around 0
TRIES = 20_000

# Corners that the drawn cases may miss, and large units for each cell.
CORNERS = [
    dict(cell="elman_relu", layers=1, bidirectional=False, bias=True, batch_first=False,
         lengths=None, state=True, T=1, N=1, I=1, H=1, P=0),
    dict(cell="gru", layers=1, bidirectional=True, bias=True, batch_first=True,
         lengths=None, state=False, T=1, N=5, I=4, H=4, P=0),
    # Sequences of one step, and none as long as the padding.
    dict(cell="lstm", layers=2, bidirectional=True, bias=True, batch_first=False,
         lengths=[1, 1, 1], state=True, T=4, N=3, I=3, H=5, P=0),
    dict(cell="gru", layers=2, bidirectional=True, bias=True, batch_first=False,
         lengths=[3, 9, 1], state=True, T=12, N=3, I=16, H=8, P=0),
    dict(cell="lstm_proj", layers=2, bidirectional=True, bias=True, batch_first=True,
         lengths=[1, 12, 2, 11, 1, 12, 6], state=True, T=12, N=7, I=5, H=17, P=1),
    dict(cell="elman_tanh", layers=2, bidirectional=False, bias=True, batch_first=True,
         lengths=[2, 7], state=False, T=7, N=2, I=4, H=33, P=0),
    dict(cell="elman_relu", layers=1, bidirectional=True, bias=True, batch_first=False,
         lengths=[5, 8, 1], state=True, T=8, N=3, I=31, H=31, P=0),
    dict(cell="lstm", layers=1, bidirectional=False, bias=True, batch_first=False,
         lengths=[6, 4], state=True, T=6, N=2, I=1, H=33, P=0),
    dict(cell="lstm_proj", layers=1, bidirectional=False, bias=True, batch_first=False,
         lengths=None, state=True, T=9, N=3, I=4, H=33, P=31),
    dict(cell="gru", layers=1, bidirectional=False, bias=True, batch_first=True,
         lengths=[7, 3, 5], state=True, T=7, N=3, I=4, H=33, P=0),
]


def pre_activations(spec, tensors):
    """An Elman ReLU layer's, a vector for each step of each cell of each sequence."""
    p = {name: array.astype(np.float64) for name, array in tensors.items()}
    x = p["input"] if spec["batch_first"] else p["input"].swapaxes(0, 1)
    for n in range(spec["N"]):
        T = spec["T"] if spec["lengths"] is None else spec["lengths"][n]
        below = x[n, :T]
        for layer in range(spec["layers"]):
            outputs = []
            for direction in range(1 + spec["bidirectional"]):
                end = f"l{layer}" + "_reverse" * direction
                a = below @ p[f"weight_ih_{end}"].T
                if spec["bias"]:
                    a = a + p[f"bias_ih_{end}"] + p[f"bias_hh_{end}"]
                row = layer * (1 + spec["bidirectional"]) + direction
                h = p["h0"][row, n] if spec["state"] else np.zeros(spec["H"])
                output = np.empty((T, spec["H"]))
                for t in reversed(range(T)) if direction else range(T):
                    before = a[t] + p[f"weight_hh_{end}"] @ h
                    yield before
                    output[t] = h = np.maximum(before, 0)
                outputs.append(output)
            below = np.concatenate(outputs, axis=1)


def run_case(rng, spec, module, tensors):
    """The case's tensors with the gradients."""
    shapes = state_shapes(spec)
    inputs = {"input": double(tensors["input"])}
    inputs |= {name: double(tensors[name]) if spec["state"] else torch.zeros(shape).double()
               for name, shape in shapes.items()}
    for value in inputs.values():
        value.requires_grad_()
    results = forward(module, spec, *inputs.values())
    loss = 0
    for name, value in results.items():
        name = {"output": "dy", "hn": "dhn", "cn": "dcn"}[name]
        tensors[name] = rng.standard_normal(tuple(value.shape)).astype(np.float32)
        loss = loss + (value * double(tensors[name])).sum()
    inputs = dict(module.named_parameters()) | inputs
    gradients = torch.autograd.grad(loss, list(inputs.values()))
    for name, gradient in zip(inputs, gradients):
        assert gradient.dtype == torch.float64
        tensors[f"grad/{name}"] = single(gradient)
    return tensors


def draw_case(rng, spec):
    """Draws again while a ReLU is near its corner, or a gradient is too small to
    show an error or has grown without bound."""
    for _ in range(TRIES):
        module, tensors = draw_tensors(rng, spec)
        if spec["cell"] == "elman_relu" and any(np.abs(before).min() < MARGIN
                                                for before in pre_activations(spec, tensors)):
            continue
        tensors = run_case(rng, spec, module, tensors)
        # A single step from zeros has nothing for these to be multiplied with.
        still = not spec["state"] and max(spec["lengths"] or [spec["T"]]) == 1
        largest = [np.abs(value).max() for name, value in tensors.items()
                   if name.startswith("grad/") and not (still and "weight_hh" in name)]
        if 0.03 < min(largest) and max(largest) < 100:
            return tensors
    raise RuntimeError(f"no such case in {TRIES} tries: {spec}")


def main():
    torch.set_num_threads(1)
    rng = np.random.default_rng(SEED)
    specs = draw_specs(rng, SIZES, MAX_PARAMETERS) + CORNERS
    check_coverage(specs, SIZES)
    for cell in CELLS:
        assert max(s["H"] for s in specs if s["cell"] == cell) >= 31, cell

    tensors, cases = {}, []
    for number, spec in enumerate(specs):
        name = f"case_{number:02}"
        tensors |= {f"{name}/{key}": value for key, value in draw_case(rng, spec).items()}
        cases.append(entry(name, spec))
    size = write(OUT, tensors, {"cases": json.dumps(cases)} | made_by(__file__))
    assert size < MAX_BYTES, size
    print(f"{OUT.name}: {len(cases)} cases, {size} bytes")


if __name__ == "__main__":
    main()
