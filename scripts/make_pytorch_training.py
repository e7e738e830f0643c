"""Makes tests/fixtures/pytorch_training.safetensors: what PyTorch's optimisers,
losses and learning-rate schedules give.

Optimisers and losses are drawn as float32, computed in float64 and stored as
float32; schedules are float64. The metadata keys `optimizers`, `losses` and
`schedules` are JSON lists; an entry's tensors are named after its `name`, and
what it has no use for is null.

Optimisers, 8 steps:

    NAME/start                  [37]
    NAME/gradients              [8, 37]
    NAME/lrs                    [8], the learning rate of each step
    NAME/expected               [8, 37], the parameters after each step

`kind` is sgd, adam or adamw; `lr` is null where it changes from step to step, and
`lrs` has the very numbers used. The gradient g of a step is first clipped:

    clip_norm                   g *= min(1, clip_norm / (|g| + 1e-6))
    clip_value                  g = clamp(g, -clip_value, clip_value)

Then sgd, whose b is g itself in the first step:

    g += weight_decay * p;  b = momentum * b + g
    p -= lr * (g + momentum * b if nesterov else b)

and adam, in step t = 1, 2, ...; adamw has p *= 1 - lr * weight_decay for the first
line:

    g += weight_decay * p
    m = beta1 * m + (1 - beta1) * g;  v = beta2 * v + (1 - beta2) * g**2
    p -= lr * m / (1 - beta1**t) / (sqrt(v / (1 - beta2**t)) + eps)

Losses, means over what isn't masked:

    NAME/input                  [M, C]
    NAME/target                 cross_entropy: [M] uint32, masked where 2**32 - 1
                                mse, bce_with_logits: [M, C], masked where NaN
    NAME/loss                   [1]
    NAME/gradient               [M, C], of the loss by the input; 0 where masked

`kind` is cross_entropy, mse or bce_with_logits, `masked` the number of masked
targets. None is all masked: PyTorch's mean over nothing is NaN.

Schedules, 60 steps:

    NAME/lrs                    [60] float64, of the steps k = 0, 1, ...

With floor division // and cosine(k) = eta_min + (lr - eta_min) *
(1 + cos(pi * k / t_max)) / 2, by `kind`:

    constant                    lr
    step                        lr * gamma**(k // step_size)
    exponential                 lr * gamma**k
    cosine                      cosine(k), which rises again after t_max as PyTorch's
    cosine_hold                 cosine(min(k, t_max)), which doesn't
    warmup_cosine               lr * (k + 1) / warmup while k < warmup,
                                then cosine(k - warmup)

Run it with

    python3 scripts/make_pytorch_training.py

Needs what make_pytorch_golden.py needs; see scripts/requirements.txt.
"""

import json
import math

import numpy as np
import torch
from torch.nn import functional as F
from torch.optim import lr_scheduler

from make_pytorch_golden import OUT as GOLDEN, double, made_by, single, write

OUT = GOLDEN.with_name("pytorch_training.safetensors")
MAX_BYTES = 200_000
SEED = 37

STEPS, PARAMETERS = 8, 37
OPTIMIZERS = {
    "sgd": dict(kind="sgd"),
    "sgd_momentum": dict(kind="sgd", momentum=0.9),
    "sgd_nesterov": dict(kind="sgd", momentum=0.9, nesterov=True),
    "sgd_decay": dict(kind="sgd", momentum=0.9, weight_decay=0.01),
    "adam": dict(kind="adam", lr=0.001),
    "adam_betas": dict(kind="adam", betas=(0.8, 0.95), eps=1e-6),
    "adam_decay": dict(kind="adam", weight_decay=0.02),
    "adamw": dict(kind="adamw", weight_decay=0.05),
}
VARIANTS = {
    "": {},
    "_clip_norm": dict(clip_norm=1.0),
    "_clip_value": dict(clip_value=0.3),
    "_lrs": dict(lr=None),
}
LR = {"sgd": 0.1, "adam": 0.02, "adamw": 0.02}
LRS = [1, 0.5, 2, 0, 0.25, 1.5, 0.1, 0.01]  # times LR, where they change
# Of each step's gradient: |g| is some 6 times this, beyond the clipped norm and within.
SCALES = [1, 0.1, 3, 0.02, 0.5, 30, 0.15, 1]

# kind, M, C, masked, largest input
LOSSES = [
    ("cross_entropy", 1, 1, 0, 3),
    ("cross_entropy", 5, 1, 2, 3),
    ("cross_entropy", 1, 2, 0, 3),
    ("cross_entropy", 70, 2, 13, 3),
    ("cross_entropy", 33, 65, 0, 3),
    ("cross_entropy", 31, 65, 12, 50),
    ("cross_entropy", 7, 300, 3, 5),
    ("cross_entropy", 4, 7, 3, 5),
    ("mse", 1, 1, 0, 3),
    ("mse", 7, 5, 9, 3),
    ("mse", 70, 4, 0, 3),
    ("mse", 33, 17, 120, 30),
    ("bce_with_logits", 1, 1, 0, 3),
    ("bce_with_logits", 7, 5, 9, 3),
    ("bce_with_logits", 70, 4, 0, 3),
    ("bce_with_logits", 31, 16, 100, 50),
]
MASKED = 2**32 - 1

SCHEDULE_STEPS = 60
SCHEDULES = [
    dict(kind="constant"),
    dict(kind="step", step_size=10, gamma=0.5),
    dict(kind="exponential", gamma=0.97),
    dict(kind="cosine", t_max=50, eta_min=0.001),
    dict(kind="cosine_hold", t_max=50, eta_min=0.001),
    dict(kind="warmup_cosine", warmup=10, t_max=50, eta_min=0.001),
]


def optimizer_cases(rng):
    for base, options in OPTIMIZERS.items():
        for suffix, variant in VARIANTS.items():
            kind = options["kind"]
            adam = kind != "sgd"
            beta1, beta2 = options.get("betas", (0.9, 0.999)) if adam else (None, None)
            case = {
                "name": f"{base}{suffix}", "kind": kind,
                "lr": LR[kind], "momentum": None if adam else 0.0,
                "nesterov": None if adam else False, "beta1": beta1, "beta2": beta2,
                "eps": 1e-8 if adam else None, "weight_decay": 0.0,
                "clip_norm": None, "clip_value": None,
            }
            case |= {key: value for key, value in options.items() if key != "betas"} | variant
            yield case, run_optimizer(rng, case)


def make_optimizer(case, parameter):
    options = dict(lr=0.0, weight_decay=case["weight_decay"])  # run_optimizer sets lr
    if case["kind"] == "sgd":
        return torch.optim.SGD([parameter], momentum=case["momentum"],
                               nesterov=case["nesterov"], **options)
    make = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[case["kind"]]
    return make([parameter], betas=(case["beta1"], case["beta2"]), eps=case["eps"], **options)


def run_optimizer(rng, case):
    start = rng.standard_normal(PARAMETERS)
    gradients = rng.standard_normal((STEPS, PARAMETERS)) * np.array(SCALES)[:, None]
    start[1] = 0
    gradients[:, 0] = 0
    gradients[:, 2] *= 1e-8  # where Adam's eps matters
    factors = LRS if case["lr"] is None else [1] * STEPS
    lrs = np.array(factors) * (case["lr"] or LR[case["kind"]])
    tensors = {"start": start, "gradients": gradients, "lrs": lrs}
    tensors = {name: values.astype(np.float32) for name, values in tensors.items()}

    parameter = torch.nn.Parameter(double(tensors["start"]))
    optimizer = make_optimizer(case, parameter)
    expected, clipped = [], 0
    for gradient, lr in zip(double(tensors["gradients"]), tensors["lrs"]):
        parameter.grad = gradient.clone()
        if case["clip_norm"] is not None:
            torch.nn.utils.clip_grad_norm_([parameter], case["clip_norm"])
        if case["clip_value"] is not None:
            torch.nn.utils.clip_grad_value_([parameter], case["clip_value"])
        clipped += not torch.equal(parameter.grad, gradient)
        optimizer.param_groups[0]["lr"] = float(lr)
        optimizer.step()
        expected.append(single(parameter))
    clips = case["clip_norm"] is not None or case["clip_value"] is not None
    assert 0 < clipped < STEPS if clips else clipped == 0
    return tensors | {"expected": np.array(expected)}


def loss_cases(rng):
    for number, (kind, M, C, masked, largest) in enumerate(LOSSES):
        case = {"name": f"{kind}_{number:02}", "kind": kind, "masked": masked}
        yield case, run_loss(rng, kind, M, C, masked, largest)


def run_loss(rng, kind, M, C, masked, largest):
    values = rng.uniform(-largest, largest, (M, C)).astype(np.float32)
    values.flat[0], values.flat[-1] = -largest, largest
    x = double(values).requires_grad_()
    if kind == "cross_entropy":
        target = rng.integers(0, C, M).astype(np.uint32)
        target[rng.permutation(M)[:masked]] = MASKED
        classes = torch.from_numpy(target.astype(np.int64))
        loss = F.cross_entropy(x, classes, ignore_index=MASKED)
    else:
        if kind == "mse":
            target = rng.uniform(-largest, largest, (M, C))
        else:
            # A third of them 0, a third 1.
            target = rng.uniform(0, 1, (M, C))
            target = np.where(rng.integers(0, 3, (M, C)) == 0, target, target.round())
        target.flat[rng.permutation(M * C)[:masked]] = np.nan
        target = target.astype(np.float32)
        keep = torch.from_numpy(~np.isnan(target))
        function = F.mse_loss if kind == "mse" else F.binary_cross_entropy_with_logits
        loss = function(x[keep], double(target)[keep])
    loss.backward()
    assert loss.isfinite() and x.grad.isfinite().all()
    return {"input": values, "target": target, "loss": single(loss.reshape(1)),
            "gradient": single(x.grad)}


def schedule_cases():
    for options in SCHEDULES:
        case = {"name": f"schedule_{options['kind']}", "lr": 0.1, "step_size": None,
                "gamma": None, "t_max": None, "eta_min": None, "warmup": None} | options
        lrs = np.array([rate(case, k) for k in range(SCHEDULE_STEPS)])
        if case["kind"] != "cosine_hold":  # PyTorch has no such
            assert np.allclose(lrs, pytorch_rates(case), rtol=1e-12, atol=0), case
        yield case, {"lrs": lrs}


def rate(case, k):
    lr, kind = case["lr"], case["kind"]

    def cosine(k):
        low = case["eta_min"]
        return low + (lr - low) * (1 + math.cos(math.pi * k / case["t_max"])) / 2

    if kind == "step":
        return lr * case["gamma"] ** (k // case["step_size"])
    if kind == "exponential":
        return lr * case["gamma"] ** k
    if kind == "cosine":
        return cosine(k)
    if kind == "cosine_hold":
        return cosine(min(k, case["t_max"]))
    if kind == "warmup_cosine":
        warmup = case["warmup"]
        return lr * (k + 1) / warmup if k < warmup else cosine(k - warmup)
    assert kind == "constant"
    return lr


def pytorch_rates(case):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=case["lr"])
    kind, warmup = case["kind"], case["warmup"]
    if kind == "constant":
        scheduler = lr_scheduler.LambdaLR(optimizer, lambda k: 1)
    elif kind == "step":
        scheduler = lr_scheduler.StepLR(optimizer, case["step_size"], case["gamma"])
    elif kind == "exponential":
        scheduler = lr_scheduler.ExponentialLR(optimizer, case["gamma"])
    else:
        scheduler = lr_scheduler.CosineAnnealingLR(optimizer, case["t_max"], case["eta_min"])
        if kind == "warmup_cosine":
            linear = lr_scheduler.LinearLR(optimizer, 1 / warmup, total_iters=warmup - 1)
            scheduler = lr_scheduler.SequentialLR(optimizer, [linear, scheduler], [warmup])
    rates = []
    for _ in range(SCHEDULE_STEPS):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def main():
    torch.set_num_threads(1)
    rng = np.random.default_rng(SEED)
    groups = {"optimizers": optimizer_cases(rng), "losses": loss_cases(rng),
              "schedules": schedule_cases()}
    tensors, metadata = {}, made_by(__file__)
    for group, pairs in groups.items():
        cases = []
        for case, values in pairs:
            cases.append(case)
            tensors |= {f"{case['name']}/{key}": value for key, value in values.items()}
        metadata[group] = json.dumps(cases)
        print(f"{group}: {len(cases)} cases")
    size = write(OUT, tensors, metadata)
    assert size < MAX_BYTES, size
    print(f"{OUT.name}: {len(tensors)} tensors, {size} bytes")


if __name__ == "__main__":
    main()
