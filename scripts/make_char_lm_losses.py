"""Makes tests/fixtures/char_lm_losses.safetensors: the first 200 losses of a
character model trained by PyTorch, for the library to repeat.

The model is an embedding, an LSTM and a dense layer; the text is cut into N
streams, of which each step reads T more characters with the state carried on and
gradients truncated; Adam with its defaults but the rate, gradients clipped by
their norm. Weights are drawn as float32; everything is computed in float64.

    weights/...    initial weights under PyTorch's names
    tokens         uint8 [N, T * steps + 1], indices of characters
    losses         float32 [steps]
    final/...      weights after the last step

and the metadata has the sizes. Run it with

    python3 scripts/make_char_lm_losses.py

Needs torch, numpy and safetensors; see scripts/requirements.txt. The text is
examples/training/data/char_lm/text.txt.
"""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "tests" / "fixtures" / "char_lm_losses.safetensors"
TEXT = ROOT / "examples" / "training" / "data" / "char_lm" / "text.txt"
N, T, STEPS = 8, 16, 200
FEATURES, HIDDEN = 12, 24
RATE, CLIP = 3e-3, 1.0


def main():
    text = TEXT.read_text(encoding="utf-8")
    symbols = sorted(set(text))
    length = T * STEPS + 1
    stream = len(text) // N
    assert stream >= length
    tokens = np.array([[symbols.index(c) for c in text[n * stream : n * stream + length]] for n in range(N)], np.uint8)

    rng = np.random.default_rng(3)
    embedding = torch.nn.Embedding(len(symbols), FEATURES, dtype=torch.float64)
    rnn = torch.nn.LSTM(FEATURES, HIDDEN, dtype=torch.float64)
    head = torch.nn.Linear(HIDDEN, len(symbols), dtype=torch.float64)
    modules = {"embedding": embedding, "rnn": rnn, "head": head}
    tensors = {"tokens": tokens}
    parameters = {f"{m}.{name}": p for m, module in modules.items() for name, p in module.named_parameters()}
    with torch.no_grad():
        for name, parameter in parameters.items():
            bound = 1.0 if name.startswith("embedding") else HIDDEN**-0.5
            values = rng.uniform(-bound, bound, tuple(parameter.shape)).astype(np.float32)
            tensors[f"weights/{name}"] = values
            parameter.copy_(torch.from_numpy(values.astype(np.float64)))

    optimizer = torch.optim.Adam(parameters.values(), lr=RATE)
    data = torch.from_numpy(tokens.astype(np.int64)).T
    state = None
    losses = []
    for step in range(STEPS):
        x, y = data[step * T : (step + 1) * T], data[step * T + 1 : (step + 1) * T + 1]
        output, state = rnn(embedding(x), state)
        state = tuple(s.detach() for s in state)
        loss = torch.nn.functional.cross_entropy(head(output).flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters.values(), CLIP)
        optimizer.step()
        losses.append(loss.item())
    tensors["losses"] = np.array(losses, np.float32)
    for name, parameter in parameters.items():
        tensors[f"final/{name}"] = parameter.detach().numpy().astype(np.float32)
    sizes = dict(N=N, T=T, steps=STEPS, features=FEATURES, hidden=HIDDEN, symbols=len(symbols), rate=RATE, clip=CLIP)
    metadata = {"sizes": json.dumps(sizes), "made_by": "scripts/make_char_lm_losses.py", "torch": torch.__version__}
    OUT.write_bytes(save(tensors, metadata=metadata))
    print(f"{losses[0]:.4f} -> {losses[-1]:.4f}, {OUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
