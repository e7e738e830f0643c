"""Makes tests/fixtures/pytorch_ctc.safetensors: losses and gradients of PyTorch's
ctc_loss of log_softmax of logits.

Logits are drawn as float32, computed with in float64, and results are stored as
float32. All cases lie one after the other in a few tensors; the row of a case in
`sizes` says how long its parts are:

    sizes                       [cases, 7] uint32: T, N, S, C, blank, whether losses
                                are added (else the mean), zero_infinity
    logits                      [T, N, C] of each case
    labels                      [N, S] uint32, padded with what is no class
    input_lengths               [N] uint32
    label_lengths               [N] uint32
    losses                      [1], infinite where an alignment is impossible and
                                zero_infinity is 0
    gradients                   [T, N, C], of the loss by the logits; NaN where
                                PyTorch's is

Run it with

    python3 scripts/make_pytorch_ctc.py

Needs what make_pytorch_golden.py needs; see scripts/requirements.txt.
"""

import numpy as np
import torch
from torch.nn import functional as F

from make_pytorch_golden import OUT as GOLDEN, double, made_by, single, write

OUT = GOLDEN.with_name("pytorch_ctc.safetensors")
MAX_BYTES = 300_000
SEED = 21
CASES = 500
PADDING = 2**32 - 1


def draw_labels(rng, count, classes, blank):
    """Often with repetitions, which need a blank between them."""
    others = [c for c in range(classes) if c != blank]
    labels = rng.choice(others, count) if others else np.zeros(0, int)
    for i in range(1, count):
        if rng.random() < 0.3:
            labels[i] = labels[i - 1]
    return labels


def draw_case(rng, number):
    large = number % 100 == 99
    T = int(rng.integers(30, 50)) if large else int(rng.integers(1, 9))
    N = int(rng.integers(1, 4))
    S = int(rng.integers(1, 14)) if large else int(rng.integers(1, 5))
    C = int(rng.integers(2, 8)) if large else int(rng.integers(2, 6))
    blank = int(rng.integers(0, C)) if rng.random() < 0.5 else 0
    add, zero = int(rng.random() < 0.3), int(rng.random() < 0.5)
    logits = rng.normal(0, rng.choice([0.5, 2, 6]), (T, N, C)).astype(np.float32)
    labels = np.full((N, S), PADDING, np.uint32)
    input_lengths, label_lengths = np.zeros(N, np.uint32), np.zeros(N, np.uint32)
    for n in range(N):
        input_lengths[n] = T if rng.random() < 0.5 else rng.integers(0, T + 1)
        count = rng.integers(0, S + 1)
        # Mostly such that there is an alignment.
        if rng.random() < 0.6:
            count = min(count, input_lengths[n])
        drawn = draw_labels(rng, int(count), C, blank)
        while rng.random() < 0.6 and len(drawn) + (drawn[1:] == drawn[:-1]).sum() > input_lengths[n]:
            drawn = drawn[:-1]
        labels[n, : len(drawn)] = drawn
        label_lengths[n] = len(drawn)
    return [T, N, S, C, blank, add, zero], logits, labels, input_lengths, label_lengths


def run_case(case):
    (_, _, _, C, blank, add, zero), logits, labels, input_lengths, label_lengths = case
    x = double(logits).requires_grad_()
    # Padding is not read, but has to be a class here.
    targets = torch.from_numpy(np.where(labels == PADDING, (blank + 1) % C, labels).astype(np.int64))
    lengths = [torch.from_numpy(each.astype(np.int64)) for each in (input_lengths, label_lengths)]
    loss = F.ctc_loss(x.log_softmax(2), targets, *lengths, blank=blank,
                      reduction="sum" if add else "mean", zero_infinity=bool(zero))
    loss.backward()
    return single(loss.reshape(1)), single(x.grad)


def main():
    torch.set_num_threads(1)
    rng = np.random.default_rng(SEED)
    cases = [draw_case(rng, number) for number in range(CASES)]
    results = [run_case(case) for case in cases]
    infinite = sum(np.isinf(loss[0]) for loss, _ in results)
    spoilt = sum(np.isnan(gradient).any() for _, gradient in results)
    assert 10 < infinite < 80 and 10 < spoilt <= infinite, (infinite, spoilt)
    assert not any(np.isnan(loss[0]) for loss, _ in results)
    counts = np.concatenate([case[4] for case in cases])
    assert (counts == 0).sum() > 50 and (counts > 3).sum() > 20

    flat = lambda arrays: np.concatenate([array.ravel() for array in arrays])
    tensors = {
        "sizes": np.array([case[0] for case in cases], np.uint32),
        "logits": flat(case[1] for case in cases),
        "labels": flat(case[2] for case in cases),
        "input_lengths": flat(case[3] for case in cases),
        "label_lengths": flat(case[4] for case in cases),
        "losses": flat(loss for loss, _ in results),
        "gradients": flat(gradient for _, gradient in results),
    }
    size = write(OUT, tensors, made_by(__file__))
    assert size < MAX_BYTES, size
    print(f"{OUT.name}: {len(cases)} cases, {infinite} of them infinite, {size} bytes")


if __name__ == "__main__":
    main()
