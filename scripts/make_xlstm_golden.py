"""Makes tests/fixtures/xlstm_golden.safetensors: sLSTM layers of several heads by the
xlstm package's own recurrence in float64, with autograd's gradients:

    python3 scripts/make_xlstm_golden.py

Fetches xlstm 2.0.6 (Apache-2.0), of which it runs the plain PyTorch functions; needs torch
and numpy, see scripts/requirements.txt. Each layer's inputs and weights are float32.
"""

import importlib.util
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from packages import unpack_wheel, write_safetensors

OUT = Path(__file__).parent.parent / "tests/fixtures/xlstm_golden.safetensors"
SHA256 = "8fcb24b45a447fa255bbe4b4306aa93e6d4bd7cf06a6cd08d9494986662a141a"
# Name: T, N, I, heads, units of a head, whether the state begins with numbers, scale of the input gate.
CASES = {
    "one_head": (6, 3, 4, 1, 8, False, 1.0),
    "four_heads": (9, 2, 5, 4, 6, False, 1.0),
    "from_a_state": (7, 3, 4, 2, 7, True, 1.0),
    "large_gates": (12, 2, 3, 2, 5, False, 30.0),
}


def load_vanilla(folder):
    """The package's vanilla functions alone: the rest of it wants compilers."""
    root = Path(folder) / "xlstm/blocks/slstm/src/vanilla"
    spec = importlib.util.spec_from_file_location("vanilla", root / "__init__.py", submodule_search_locations=[str(root)])
    module = importlib.util.module_from_spec(spec)
    sys.modules["vanilla"] = module
    spec.loader.exec_module(module)
    return module


def main():
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        unpack_wheel("xlstm==2.0.6", SHA256, Path(sys.argv[1]) if len(sys.argv) > 1 else None, folder)
        vanilla = load_vanilla(folder)
    pointwise = vanilla.slstm_pointwise_function_registry["slstm"]
    tensors = {}
    for name, (steps, batch, inputs, heads, units, carries, scale) in CASES.items():
        hidden = heads * units

        def leaf(*shape, bound=1.0):
            numbers = (torch.rand(*shape) * 2 - 1) * bound
            return numbers.float().double().requires_grad_()

        x = leaf(steps, batch, inputs)
        # A head's gates in the order i, f, z, o.
        w = leaf(heads, 4, units, inputs)
        with torch.no_grad():
            w[:, 0] *= scale
            w.copy_(w.float())
        r = leaf(heads, 4 * units, units, bound=units**-0.5)
        b = leaf(heads, 4, units)
        state = leaf(4, batch, hidden)
        with torch.no_grad():
            if carries:
                state[2].abs_().add_(1.0)
                state.copy_(state.float())
            else:
                state.zero_()
        # The package has the gates outside of the heads.
        wx = torch.einsum("tni,hgui->tnghu", x, w).reshape(steps, batch, 4 * hidden)
        bias = b.permute(1, 0, 2).reshape(-1)
        states, _, _ = vanilla.slstm_forward(wx, state, r, bias, pointwise)
        y, final = states[0, 1:], states[:, -1]
        dy = torch.rand(y.shape).float().double() * 2 - 1
        (y * dy).sum().backward()

        def heads_first(state):
            """[·, N, S·H] to [S, N, ·H]: slots side by side for each head."""
            slots = state.reshape(state.shape[0], batch, heads, units)
            return slots.permute(2, 1, 0, 3).reshape(heads, batch, -1)

        arrays = {
            "x": x, "y": y, "dy": dy, "h0": heads_first(state[:1]), "c0": heads_first(state[1:]),
            "hn": heads_first(final[:1]), "cn": heads_first(final[1:]), "grad/x": x.grad,
        }
        if carries:
            arrays |= {"grad/h0": heads_first(state.grad[:1]), "grad/c0": heads_first(state.grad[1:])}
        for head in range(heads):
            suffix = f"_l0_head{head}" if heads > 1 else "_l0"
            own = {
                f"weight_ih{suffix}": (w, lambda t: t[head].reshape(4 * units, inputs)),
                f"weight_hh{suffix}": (r, lambda t: t[head]),
                f"bias_ih{suffix}": (b, lambda t: t[head].reshape(-1)),
            }
            for key, (tensor, part) in own.items():
                arrays[key], arrays[f"grad/{key}"] = part(tensor), part(tensor.grad)
        for key, array in arrays.items():
            assert torch.isfinite(array).all(), (name, key)
            tensors[f"{name}/{key}"] = array.detach().numpy().astype(np.float32)
    write_safetensors(OUT, tensors, {"package": "xlstm 2.0.6"})
    print(f"{OUT}: {OUT.stat().st_size} bytes")


main()
