"""Makes tests/fixtures/pytorch_packed.safetensors: packed sequences through PyTorch's recurrent layers, in float64 from
numbers drawn as float32, with their gradients. The loss is

    sum(output.data * dy) + sum(hn * dhn) + sum(cn * dcn)

and each case has

    NN/weight_ih_l0 ...         parameters under PyTorch's names
    NN/data                     [sum of lengths, I] of pack_sequence or pack_padded_sequence
    NN/batch_sizes, NN/sorted_indices, NN/unsorted_indices      uint32; indices where PyTorch has some
    NN/lengths                  uint32, in the order in which sequences were packed
    NN/sequence0 ...            the sequences, [T_n, I]
    NN/h0, NN/c0                [layers * directions, N, ...], in that order
    NN/output                   [sum of lengths, D * H] in the layout of the data
    NN/hn, NN/cn                in the order of the sequences
    NN/dy, NN/dhn, NN/dcn       gradients given
    NN/grad/NAME                the loss's gradient by each parameter, data, h0 and c0

Run it with

    python3 scripts/make_pytorch_packed.py
"""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from torch.nn.utils.rnn import pack_padded_sequence, pack_sequence, pad_sequence

OUT = Path(__file__).parent.parent / "tests/fixtures/pytorch_packed.safetensors"
I, H = 3, 4
LENGTHS = [[5, 3, 3, 1], [2, 6, 1, 4], [1, 1, 1], [7], [3, 3, 5, 2, 5]]
CELLS = {"elman_tanh": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}


def cases():
    number = 0
    for cell in CELLS:
        for layers, bidirectional in [(1, False), (2, True), (1, True)]:
            for proj in [0, 2] if cell == "lstm" else [0]:
                lengths = LENGTHS[number % len(LENGTHS)]
                is_sorted = lengths == sorted(lengths, reverse=True)
                yield dict(name=f"{number:02}", cell=cell, layers=layers, bidirectional=bidirectional, proj=proj,
                           lengths=lengths, enforce_sorted=is_sorted, padded=number % 2 == 1)
                number += 1


def main():
    torch.manual_seed(0)
    draw = lambda *shape: (torch.rand(*shape) * 2 - 1).double()
    tensors, entries = {}, []
    for case in cases():
        name, lengths = case["name"], case["lengths"]
        layer = CELLS[case["cell"]](I, H, num_layers=case["layers"], bidirectional=case["bidirectional"],
                                    **({"proj_size": case["proj"]} if case["proj"] else {}))
        layer = layer.float().double()
        sequences = [draw(length, I) for length in lengths]
        if case["padded"]:
            packed = pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=case["enforce_sorted"])
        else:
            packed = pack_sequence(sequences, enforce_sorted=case["enforce_sorted"])
        rows, batch = case["layers"] * (2 if case["bidirectional"] else 1), len(lengths)
        is_lstm = case["cell"] == "lstm"
        inputs = {"h0": draw(rows, batch, case["proj"] or H)} | ({"c0": draw(rows, batch, H)} if is_lstm else {})
        inputs["data"] = packed.data.clone()
        inputs |= dict(layer.named_parameters())
        for value in inputs.values():
            value.requires_grad_(True)
        x = torch.nn.utils.rnn.PackedSequence(inputs["data"], packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices)
        state = (inputs["h0"], inputs["c0"]) if is_lstm else inputs["h0"]
        output, final = layer(x, state)
        finals = {"hn": final[0], "cn": final[1]} if is_lstm else {"hn": final}
        given = {"dy": draw(*output.data.shape)} | {"d" + key: draw(*value.shape) for key, value in finals.items()}
        loss = (output.data * given["dy"]).sum() + sum((finals[key] * given["d" + key]).sum() for key in finals)
        gradients = torch.autograd.grad(loss, list(inputs.values()))
        own = inputs | finals | given | {"output": output.data}
        own |= {f"sequence{n}": sequence for n, sequence in enumerate(sequences)}
        own |= {f"grad/{key}": gradient for key, gradient in zip(inputs, gradients)}
        for key, value in own.items():
            tensors[f"{name}/{key}"] = value.detach().float().numpy()
        whole = {"batch_sizes": packed.batch_sizes, "lengths": torch.tensor(lengths),
                 "sorted_indices": packed.sorted_indices, "unsorted_indices": packed.unsorted_indices}
        for key, value in whole.items():
            if value is not None:
                tensors[f"{name}/{key}"] = value.numpy().astype(np.uint32)
        entries.append(case)
    tensors = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
    save_file(tensors, OUT, {"cases": json.dumps(entries), "torch": torch.__version__})
    print(f"{len(entries)} cases, torch {torch.__version__}, {OUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
