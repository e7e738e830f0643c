"""Makes tests/fixtures/pytorch_losses.safetensors: what PyTorch's losses give with
class weights, label smoothing, probabilities as targets, and for numbers.

Everything is drawn as float32, computed in float64 and stored as float32. The
metadata key `losses` is a JSON list; an entry's tensors are named after its `name`:

    NAME/input                  [M, C]
    NAME/target                 classes: [M] uint32, left out where 2**32 - 1
                                probabilities: [M, C], a row left out where NaN
                                the others: [M, C], left out where NaN
    NAME/weight                 [C], where `weighted`
    NAME/loss                   [1], the mean over what isn't left out
    NAME/gradient               [M, C], of the loss by the input

`kind` is classes or probabilities, for cross_entropy, or l1, huber or smooth_l1;
`smoothing` is cross_entropy's label_smoothing, `delta` huber's delta and smooth_l1's
beta.

Run it with

    python3 scripts/make_pytorch_losses.py

Needs what make_pytorch_golden.py needs; see scripts/requirements.txt.
"""

import itertools
import json

import numpy as np
import torch
from torch.nn import functional as F

from make_pytorch_golden import OUT as GOLDEN, double, made_by, single, write

OUT = GOLDEN.with_name("pytorch_losses.safetensors")
MAX_BYTES = 120_000
SEED = 53
MASKED = 2**32 - 1

# M, C, left out, largest input
SIZES = [(1, 2, 0, 3), (9, 5, 4, 3), (6, 33, 2, 20)]
SMOOTHING = [0.0, 0.1, 1.0]
DELTAS = {"l1": [None], "huber": [0.3, 1.0, 2.5], "smooth_l1": [0.5, 1.0]}


def cases():
    kinds = itertools.product(["classes", "probabilities"], SMOOTHING, [False, True], SIZES)
    for kind, smoothing, weighted, size in kinds:
        yield {"kind": kind, "smoothing": smoothing, "weighted": weighted, "delta": None}, size
    for kind, deltas in DELTAS.items():
        for delta, size in itertools.product(deltas, SIZES):
            yield {"kind": kind, "smoothing": None, "weighted": False, "delta": delta}, size


def draw(rng, case, M, C, masked):
    """The targets, and the weights of classes; one of these is 0."""
    left_out = rng.permutation(M)[:masked]
    weight = rng.uniform(0.2, 2, C).astype(np.float32)
    weight[rng.integers(0, C)] = 0
    if case["kind"] == "classes":
        target = rng.integers(0, C, M).astype(np.uint32)
        # Some class that counts.
        target[0] = np.argmax(weight)
        target[left_out[left_out > 0]] = MASKED
    elif case["kind"] == "probabilities":
        target = rng.dirichlet(np.full(C, 0.3), M).astype(np.float32)
        target[:, 0] = 0
        target[left_out] = np.nan
    else:
        target = rng.uniform(-3, 3, (M, C)).astype(np.float32)
        target.flat[rng.permutation(M * C)[:masked]] = np.nan
    return target, weight


def loss_of(case, x, target, weight):
    kind = case["kind"]
    if kind in ("classes", "probabilities"):
        weight = double(weight) if case["weighted"] else None
        options = {"weight": weight, "label_smoothing": case["smoothing"]}
        if kind == "classes":
            target = torch.from_numpy(target.astype(np.int64))
            return F.cross_entropy(x, target, ignore_index=MASKED, **options)
        keep = ~np.isnan(target[:, 0])
        return F.cross_entropy(x[torch.from_numpy(keep)], double(target[keep]), **options)
    keep = torch.from_numpy(~np.isnan(target))
    x, target = x[keep], double(target)[keep]
    if kind == "l1":
        return F.l1_loss(x, target)
    if kind == "huber":
        return F.huber_loss(x, target, delta=case["delta"])
    return F.smooth_l1_loss(x, target, beta=case["delta"])


def main():
    torch.set_num_threads(1)
    rng = np.random.default_rng(SEED)
    tensors, entries = {}, []
    for number, (case, (M, C, masked, largest)) in enumerate(cases()):
        name = f"{case['kind']}_{number:02}"
        values = rng.uniform(-largest, largest, (M, C)).astype(np.float32)
        target, weight = draw(rng, case, M, C, masked)
        x = double(values).requires_grad_()
        loss = loss_of(case, x, target, weight)
        loss.backward()
        assert loss.isfinite() and x.grad.isfinite().all(), case
        arrays = {"input": values, "target": target, "loss": single(loss.reshape(1)),
                  "gradient": single(x.grad)}
        if case["weighted"]:
            arrays["weight"] = weight
        tensors |= {f"{name}/{key}": value for key, value in arrays.items()}
        entries.append({"name": name} | case)
    metadata = {"losses": json.dumps(entries)} | made_by(__file__)
    size = write(OUT, tensors, metadata)
    assert size < MAX_BYTES, size
    print(f"{OUT.name}: {len(entries)} cases, {size} bytes")


if __name__ == "__main__":
    main()
