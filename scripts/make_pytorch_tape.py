"""Makes tests/fixtures/pytorch_tape.safetensors: 30 training steps in PyTorch of a
model with a residual connection, layer normalisation, attention and CTC.

Numbers are drawn as float32, computed in float64 and stored as float32. `*` is
concatenation along features; sequences have LENGTHS steps.

    e = x W_in^T + b_in                           a dense layer
    n = layer_norm(e + LSTM(e))                   a residual connection, over features
    q = the last valid step of n
    context = softmax(q . n_s over valid s) n_s   attention of Luong et al. 2015, dot
    logits = (n * context) W_out^T + b_out
    loss = CTC(log_softmax(logits), labels), Adam

Tensors:

    x                           [T, N, I]
    lengths, label_lengths      u32 [N]
    labels                      u32 [N, S]
    input.weight, input.bias, lstm.*, norm.gain, norm.bias, head.weight, head.bias
                                at the beginning
    losses                      [STEPS]
    attention                   [N, T], the weights of the last step

Run it with

    python3 scripts/make_pytorch_tape.py

Needs what make_pytorch_golden.py needs; see scripts/requirements.txt.
"""

import json

import numpy as np
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from make_pytorch_golden import OUT as GOLDEN, double, made_by, single, write

OUT = GOLDEN.with_name("pytorch_tape.safetensors")
MAX_BYTES = 20_000
SEED = 18

STEPS, T, N, I, H, C = 30, 12, 3, 5, 8, 6
LENGTHS = [12, 9, 6]
LABELS = [[1, 2, 2, 5], [3, 4], [5, 1, 3]]
RATE, EPSILON = 0.02, 1e-5


class Network(torch.nn.Module):
    def __init__(self, weights):
        super().__init__()
        self.input = torch.nn.Linear(I, H, dtype=torch.float64)
        self.lstm = torch.nn.LSTM(H, H, dtype=torch.float64)
        self.norm = torch.nn.LayerNorm(H, EPSILON, dtype=torch.float64)
        self.head = torch.nn.Linear(2 * H, C, dtype=torch.float64)
        names = {"norm.weight": "norm.gain"}
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                parameter.copy_(double(weights[names.get(name, name)]))

    def forward(self, x):
        e = self.input(x)
        packed = pack_padded_sequence(e, LENGTHS, enforce_sorted=False)
        y, _ = pad_packed_sequence(self.lstm(packed)[0], total_length=T)
        n = self.norm(e + y)
        lengths = torch.tensor(LENGTHS)
        query = n[lengths - 1, torch.arange(N)]
        scores = torch.einsum("nh,tnh->nt", query, n)
        scores = scores.masked_fill(torch.arange(T) >= lengths[:, None], -torch.inf)
        attention = torch.softmax(scores, 1)
        context = torch.einsum("nt,tnh->nh", attention, n)
        logits = self.head(torch.cat([n, context.expand(T, N, H)], 2))
        return logits, attention


def main():
    torch.set_num_threads(1)
    rng = np.random.default_rng(SEED)
    draw = lambda *shape: rng.standard_normal(shape).astype(np.float32)
    part = lambda *shape: (0.4 * rng.standard_normal(shape)).astype(np.float32)
    weights = {"input.weight": part(H, I), "input.bias": part(H),
               "lstm.weight_ih_l0": part(4 * H, H), "lstm.weight_hh_l0": part(4 * H, H),
               "lstm.bias_ih_l0": part(4 * H), "lstm.bias_hh_l0": part(4 * H),
               "norm.gain": 1 + part(H), "norm.bias": part(H),
               "head.weight": part(C, 2 * H), "head.bias": part(C)}
    x = draw(T, N, I)
    network = Network(weights)
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    labels = np.zeros((N, max(map(len, LABELS))), np.uint32)
    for n, own in enumerate(LABELS):
        labels[n, :len(own)] = own
    counts = [len(own) for own in LABELS]
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        logits, attention = network(double(x))
        loss = torch.nn.functional.ctc_loss(
            torch.log_softmax(logits, 2), torch.tensor(labels.astype(np.int64)), LENGTHS, counts)
        loss.backward()
        optimizer.step()
        losses.append(np.float32(loss.item()))
    assert losses[-1] < losses[0] / 2, losses
    tensors = weights | {"x": x, "lengths": np.array(LENGTHS, np.uint32), "labels": labels,
                         "label_lengths": np.array(counts, np.uint32),
                         "losses": np.array(losses), "attention": single(attention)}
    metadata = made_by(__file__) | {"sizes": json.dumps(dict(rate=RATE, epsilon=EPSILON))}
    size = write(OUT, tensors, metadata)
    assert size < MAX_BYTES, size
    print(f"{OUT.name}: {len(tensors)} tensors, {size} bytes, losses {losses[0]} to {losses[-1]}")


if __name__ == "__main__":
    main()
