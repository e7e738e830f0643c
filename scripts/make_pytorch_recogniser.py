"""Makes tests/fixtures/pytorch_recogniser.safetensors: 30 training steps in PyTorch
of models as speech recognition has them, with a residual, layer norm, attention and
CTC, on sequences of different lengths.

Everything is drawn as float32, computed in float64 and stored as float32. A model
computes, of x [T, N, FEATURES]:

    u = x A^T + a                   [T, N, WIDTH]
    m = layer_norm(u + rnn(u))      bidirectional, WIDTH / 2 units a direction
    c_t = attention of m_t over m   of the sequence's valid steps
    logits = [m, c] B^T + b         [T, N, CLASSES]

and the loss is CTC's, averaged as PyTorch does it. Tensors:

    x                               [STEPS, T, N, FEATURES]
    labels                          [STEPS, N, LABELS] uint32, 0 beyond their number
    input_lengths, label_lengths    [STEPS, N] uint32
    NAME/first/...                  the weights at the beginning, by PyTorch's names
    NAME/last/...                   the weights after the last step
    NAME/losses                     [STEPS]

`models` in the metadata is a JSON list of name, cell, attention and optimizer.

Run it with

    python3 scripts/make_pytorch_recogniser.py

Needs what make_pytorch_golden.py needs; see scripts/requirements.txt.
"""

import json

import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from make_pytorch_golden import OUT as GOLDEN, double, made_by, single, write

OUT = GOLDEN.with_name("pytorch_recogniser.safetensors")
MAX_BYTES = 80_000
SEED = 83

STEPS, T, N, FEATURES, WIDTH, CLASSES, LABELS = 30, 8, 3, 4, 6, 5, 3
EPSILON = 1e-5
MODELS = [
    dict(name="lstm_dot_adam", cell="lstm", attention="dot", optimizer="adam"),
    dict(name="gru_general_sgd", cell="gru", attention="general", optimizer="sgd"),
    dict(name="lstm_additive_sgd", cell="lstm", attention="additive", optimizer="sgd"),
]
RATES = {"adam": 0.01, "sgd": 0.05}


class Recogniser(nn.Module):
    def __init__(self, cell, attention):
        super().__init__()
        self.attention = attention
        self.input = nn.Linear(FEATURES, WIDTH)
        self.rnn = {"lstm": nn.LSTM, "gru": nn.GRU}[cell](WIDTH, WIDTH // 2, bidirectional=True)
        self.norm = nn.LayerNorm(WIDTH, eps=EPSILON)
        if attention == "general":
            self.general = nn.Linear(WIDTH, WIDTH, bias=False)
        if attention == "additive":
            self.query = nn.Linear(WIDTH, 4)
            self.memory = nn.Linear(WIDTH, 4, bias=False)
            self.score = nn.Linear(4, 1, bias=False)
        self.output = nn.Linear(2 * WIDTH, CLASSES)

    def scores(self, m):
        """How well step t fits step s of the same sequence: [N, T, S]."""
        m = m.transpose(0, 1)
        if self.attention == "dot":
            return m @ m.mT
        if self.attention == "general":
            return m @ self.general(m).mT
        sums = self.query(m).unsqueeze(2) + self.memory(m).unsqueeze(1)
        return self.score(torch.tanh(sums)).squeeze(-1)

    def forward(self, x, lengths):
        u = self.input(x)
        packed = pack_padded_sequence(u, lengths, enforce_sorted=False)
        y, _ = pad_packed_sequence(self.rnn(packed)[0], total_length=T)
        m = self.norm(u + y)
        beyond = torch.arange(T) >= lengths[:, None, None]
        weights = self.scores(m).masked_fill(beyond, -torch.inf).softmax(dim=-1)
        context = (weights @ m.transpose(0, 1)).transpose(0, 1)
        return self.output(torch.cat([m, context], dim=-1))


def draw_weights(rng, model):
    """Weights of about the size of PyTorch's own, and norms that are not the identity."""
    with torch.no_grad():
        for parameter in model.parameters():
            bound = 1.2 * parameter.shape[-1] ** -0.5
            parameter.copy_(double(rng.uniform(-bound, bound, tuple(parameter.shape)).astype(np.float32)))
        model.norm.weight.add_(1).copy_(double(single(model.norm.weight)))


def draw_data(rng):
    lengths = rng.integers(LABELS + 2, T + 1, (STEPS, N)).astype(np.uint32)
    counts = rng.integers(0, LABELS + 1, (STEPS, N)).astype(np.uint32)
    labels = rng.integers(1, CLASSES, (STEPS, N, LABELS)).astype(np.uint32)
    labels[np.arange(LABELS) >= counts[..., None]] = 0
    # A repeated label needs a blank more.
    assert (lengths >= counts + 2).all()
    x = rng.standard_normal((STEPS, T, N, FEATURES)).astype(np.float32)
    return {"x": x, "labels": labels, "input_lengths": lengths, "label_lengths": counts}


def make_optimizer(kind, model):
    if kind == "adam":
        return torch.optim.Adam(model.parameters(), lr=RATES[kind])
    return torch.optim.SGD(model.parameters(), lr=RATES[kind], momentum=0.9)


def weights_of(model, prefix):
    return {f"{prefix}/{name}": single(parameter) for name, parameter in model.named_parameters()}


def train(rng, case, data):
    model = Recogniser(case["cell"], case["attention"]).double()
    draw_weights(rng, model)
    tensors = weights_of(model, f"{case['name']}/first")
    optimizer = make_optimizer(case["optimizer"], model)
    losses = []
    integers = {name: torch.from_numpy(array.astype(np.int64)) for name, array in data.items() if name != "x"}
    for step, x in enumerate(double(data["x"])):
        labels, lengths, counts = (integers[name][step] for name in ("labels", "input_lengths", "label_lengths"))
        optimizer.zero_grad()
        log_probs = model(x, lengths).log_softmax(dim=-1)
        loss = nn.functional.ctc_loss(log_probs, labels, lengths, counts)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5]), (case["name"], losses)
    print(f"{case['name']}: loss {np.mean(losses[:5]):.3f} to {np.mean(losses[-5:]):.3f}")
    return tensors | weights_of(model, f"{case['name']}/last") | {f"{case['name']}/losses": np.float32(losses)}


def main():
    torch.set_num_threads(1)
    rng = np.random.default_rng(SEED)
    data = draw_data(rng)
    tensors = dict(data)
    for case in MODELS:
        tensors |= train(rng, case, data)
    rates = [case | {"rate": RATES[case["optimizer"]]} for case in MODELS]
    size = write(OUT, tensors, {"models": json.dumps(rates)} | made_by(__file__))
    assert size < MAX_BYTES, size
    print(f"{OUT.name}: {len(tensors)} tensors, {size} bytes")


if __name__ == "__main__":
    main()
