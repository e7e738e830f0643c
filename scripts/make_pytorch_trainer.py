"""Makes tests/fixtures/pytorch_trainer.safetensors: 30 training steps of a dense
layer in PyTorch with RMSprop, parameter groups, gradient accumulation and moving
averages of weights, and more learning-rate schedules.

Numbers are drawn as float32, computed in float64 and stored as float32; schedules
are float64. The metadata keys `trainings`, `schedules` and `plateaus` are JSON
lists; an entry's tensors are named after its `name`.

Trainings: y = x W^T + b, the loss is the mean squared error. A step's batch is
micro-batches one after the other, of ROWS rows each.

    x                           [STEPS, MICRO, ROWS, INPUTS]
    target                      [STEPS, MICRO, ROWS, OUTPUTS]
    weight, bias                at the beginning
    NAME/weight, NAME/bias      [STEPS, ...], after each step
    NAME/losses                 [STEPS]
    NAME/average_weight, NAME/average_bias
                                [STEPS, ...], of torch.optim.swa_utils.AveragedModel
                                with get_ema_multi_avg_fn(DECAY)

`micro` is how many micro-batches of a step are used, with a backward pass each,
of the loss divided by `micro`. `bias_factor` and `bias_decay` are the learning
rate's factor and the weight decay of the bias, in a parameter group of its own.

Schedules: NAME/lrs [60] float64, of the steps k = 0, 1, ...

Plateaus: NAME/losses [40] and NAME/lrs [40], the rate after each of them.

Run it with

    python3 scripts/make_pytorch_trainer.py

Needs what make_pytorch_golden.py needs; see scripts/requirements.txt.
"""

import json

import numpy as np
import torch
from torch.optim import lr_scheduler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from make_pytorch_golden import OUT as GOLDEN, double, made_by, single, write

OUT = GOLDEN.with_name("pytorch_trainer.safetensors")
MAX_BYTES = 150_000
SEED = 41

STEPS, MICRO, ROWS, INPUTS, OUTPUTS = 30, 3, 4, 5, 3
DECAY = 0.9
RATE = 0.02

RMS = dict(optimizer="rmsprop", alpha=0.9, eps=1e-6, momentum=0.0, centered=False,
           weight_decay=0.0)
TRAININGS = {
    "rmsprop": RMS,
    "rmsprop_defaults": RMS | dict(alpha=0.99, eps=1e-8),
    "rmsprop_momentum": RMS | dict(momentum=0.8),
    "rmsprop_centered": RMS | dict(centered=True),
    "rmsprop_all": RMS | dict(momentum=0.5, centered=True, weight_decay=0.05),
    "rmsprop_groups": RMS | dict(weight_decay=0.05, bias_factor=0.25, bias_decay=0.0),
    "sgd_groups": dict(optimizer="sgd", momentum=0.9, weight_decay=0.1, bias_factor=0.1,
                       bias_decay=0.0),
    "adamw_groups": dict(optimizer="adamw", weight_decay=0.1, bias_factor=3.0,
                         bias_decay=0.3),
    "adam_micro": dict(optimizer="adam", weight_decay=0.0, micro=3),
    "rmsprop_micro": RMS | dict(micro=2),
}
CASE = dict(alpha=None, eps=None, momentum=None, centered=None, bias_factor=None,
            bias_decay=None, micro=1)

SCHEDULE_STEPS = 60
SCHEDULES = [
    dict(name="polynomial", kind="polynomial", power=2.0, total=40),
    dict(name="linear", kind="polynomial", power=1.0, total=40),
    dict(name="one_cycle", kind="one_cycle", total=60),
    dict(name="one_cycle_linear", kind="one_cycle", total=60, pct_start=0.25, div_factor=10.0,
         final_div_factor=100.0, linear=True),
    dict(name="warm_step", kind="step", warmup=8, step_size=10, gamma=0.5),
    dict(name="warm_exponential", kind="exponential", warmup=5, gamma=0.9),
    dict(name="warm_cosine", kind="cosine", warmup=10, total=50, eta_min=0.001),
]
SCHEDULE = dict(lr=0.1, power=None, total=None, pct_start=0.3, div_factor=25.0,
                final_div_factor=1e4, linear=False, warmup=0, step_size=None, gamma=None,
                eta_min=None)
PLATEAUS = [
    dict(name="plateau", factor=0.5, patience=2, threshold=1e-4, cooldown=0, min_lr=0.0),
    dict(name="plateau_cooldown", factor=0.1, patience=1, threshold=0.05, cooldown=3, min_lr=0.002),
]


def make_optimizer(case, layer):
    groups = [layer.weight, layer.bias]
    if case["bias_factor"] is not None:
        bias = dict(params=[layer.bias], lr=RATE * case["bias_factor"],
                    weight_decay=case["bias_decay"])
        groups = [dict(params=[layer.weight]), bias]
    options = dict(lr=RATE, weight_decay=case["weight_decay"])
    kind = case["optimizer"]
    if kind == "rmsprop":
        return torch.optim.RMSprop(groups, alpha=case["alpha"], eps=case["eps"],
                                   momentum=case["momentum"], centered=case["centered"],
                                   **options)
    if kind == "sgd":
        return torch.optim.SGD(groups, momentum=case["momentum"], **options)
    return {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[kind](groups, **options)


def train(case, data):
    layer = torch.nn.Linear(INPUTS, OUTPUTS, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(double(data["weight"]))
        layer.bias.copy_(double(data["bias"]))
    optimizer = make_optimizer(case, layer)
    averaged = AveragedModel(layer, multi_avg_fn=get_ema_multi_avg_fn(DECAY))
    found = {key: [] for key in ("weight", "bias", "average_weight", "average_bias", "losses")}
    for xs, targets in zip(double(data["x"]), double(data["target"])):
        optimizer.zero_grad()
        total = 0.0
        for x, target in list(zip(xs, targets))[: case["micro"]]:
            loss = torch.nn.functional.mse_loss(layer(x), target) / case["micro"]
            loss.backward()
            total += loss.item()
        optimizer.step()
        averaged.update_parameters(layer)
        found["losses"].append(np.float32(total))
        for prefix, module in (("", layer), ("average_", averaged.module)):
            found[f"{prefix}weight"].append(single(module.weight))
            found[f"{prefix}bias"].append(single(module.bias))
    return {key: np.array(values) for key, values in found.items()}


def rates(case):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=case["lr"])
    kind, warmup = case["kind"], case["warmup"]
    if kind == "polynomial":
        scheduler = lr_scheduler.PolynomialLR(optimizer, case["total"], case["power"])
    elif kind == "one_cycle":
        scheduler = lr_scheduler.OneCycleLR(
            optimizer, case["lr"], total_steps=case["total"], pct_start=case["pct_start"],
            anneal_strategy="linear" if case["linear"] else "cos", cycle_momentum=False,
            div_factor=case["div_factor"], final_div_factor=case["final_div_factor"])
    elif kind == "step":
        scheduler = lr_scheduler.StepLR(optimizer, case["step_size"], case["gamma"])
    elif kind == "exponential":
        scheduler = lr_scheduler.ExponentialLR(optimizer, case["gamma"])
    else:
        scheduler = lr_scheduler.CosineAnnealingLR(optimizer, case["total"], case["eta_min"])
    if warmup:
        linear = lr_scheduler.LinearLR(optimizer, 1 / warmup, total_iters=warmup - 1)
        scheduler = lr_scheduler.SequentialLR(optimizer, [linear, scheduler], [warmup])
    found = []
    for k in range(SCHEDULE_STEPS):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if k + 1 < SCHEDULE_STEPS:
            scheduler.step()
    return np.array(found)


def plateau(rng, case):
    options = {key: case[key] for key in ("factor", "patience", "threshold", "cooldown", "min_lr")}
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=case["lr"])
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, **options)
    losses = np.maximum(2.0 - 0.1 * np.arange(40), 0.8) + 0.2 * rng.uniform(-1, 1, 40)
    found = []
    for loss in losses:
        scheduler.step(loss)
        found.append(optimizer.param_groups[0]["lr"])
    assert len(set(found)) > 2
    return {"losses": losses, "lrs": np.array(found)}


def main():
    torch.set_num_threads(1)
    rng = np.random.default_rng(SEED)
    draw = lambda *shape: rng.standard_normal(shape).astype(np.float32)
    data = {"x": draw(STEPS, MICRO, ROWS, INPUTS), "target": draw(STEPS, MICRO, ROWS, OUTPUTS),
            "weight": draw(OUTPUTS, INPUTS), "bias": draw(OUTPUTS)}
    tensors, metadata = dict(data), made_by(__file__)
    trainings = [CASE | dict(name=name) | options for name, options in TRAININGS.items()]
    schedules = [SCHEDULE | case for case in SCHEDULES]
    plateaus = [dict(lr=0.1) | case for case in PLATEAUS]
    for case in trainings:
        tensors |= {f"{case['name']}/{key}": value for key, value in train(case, data).items()}
    for case in schedules:
        tensors[f"{case['name']}/lrs"] = rates(case)
    for case in plateaus:
        tensors |= {f"{case['name']}/{key}": value for key, value in plateau(rng, case).items()}
    groups = {"trainings": trainings, "schedules": schedules, "plateaus": plateaus}
    metadata |= {key: json.dumps(cases) for key, cases in groups.items()}
    size = write(OUT, tensors, metadata)
    assert size < MAX_BYTES, size
    print(f"{OUT.name}: {len(tensors)} tensors, {size} bytes")


if __name__ == "__main__":
    main()
