"""Makes tests/fixtures/pytorch_operations.safetensors: what PyTorch gives for each
operation on values, with the gradients of its operands, for random shapes.

Everything is drawn as float32, computed in float64 and stored as float32. The
metadata key `cases` is a JSON list; an entry's tensors are named after its `name`:

    NAME/x0, NAME/x1 ...        the operands
    NAME/lengths                uint32, where the operation takes lengths or indices
    NAME/y                      the result
    NAME/dy                     the derivative of a loss by the result, drawn
    NAME/dx0, NAME/dx1 ...      the derivatives of this loss by the operands

The other keys of an entry are the operation's arguments: axis, axes, constants,
range, shape, order, window (stride, dilation, groups, zeros before, zeros after).

Run it with

    python3 scripts/make_pytorch_operations.py

Needs what make_pytorch_golden.py needs; see scripts/requirements.txt.
"""

import json

import numpy as np
import torch
from torch.nn import functional as F

from make_pytorch_golden import OUT as GOLDEN, double, made_by, single, write

OUT = GOLDEN.with_name("pytorch_operations.safetensors")
MAX_BYTES = 300_000
SEED = 71


def case(op, function, *inputs, lengths=None, **arguments):
    """An operation of float32 arrays, and the function of torch tensors that it is."""
    return dict(op=op, function=function, inputs=inputs, lengths=lengths, arguments=arguments)


def draw_shape(rng, axes, largest=6):
    return tuple(int(size) for size in rng.integers(1, largest + 1, axes))


def draw(rng, shape):
    return rng.standard_normal(shape).astype(np.float32)


def draw_narrower(rng, shape):
    """A shape that broadcasts to this one: without some of its first axes, others 1 long."""
    kept = shape[int(rng.integers(0, len(shape))):]
    return tuple(1 if rng.integers(0, 2) else size for size in kept)


def apart_from_zero(x):
    return (x + np.where(x < 0, -0.5, 0.5)).astype(np.float32)


def element_wise(rng):
    two = {"add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div,
           "max": torch.maximum, "min": torch.minimum}
    for op, function in two.items():
        for axes in (1, 2, 3, 4):
            shape = draw_shape(rng, axes)
            narrow = draw_narrower(rng, shape)
            shapes = (narrow, shape) if axes % 2 else (shape, narrow)
            a, b = (draw(rng, shape) for shape in shapes)
            if op == "div":
                b = apart_from_zero(b)
            if op in ("max", "min"):
                # Some are equal, and share the gradient.
                a, b = np.round(a), np.round(b)
            yield case(op, function, a, b)
    # Either has an axis along which the other is repeated.
    n, m, k = draw_shape(rng, 3)
    yield case("mul", torch.mul, draw(rng, (n, 1, m)), draw(rng, (k, 1)))
    for axes, factor in ((1, -2.5), (3, 0.125)):
        x = draw(rng, draw_shape(rng, axes))
        yield case("scale", lambda x, factor=factor: x * factor, x, constants=[factor])
    one = {"exp": torch.exp, "ln": torch.log, "sqrt": torch.sqrt, "abs": torch.abs,
           "neg": torch.neg}
    for op, function in one.items():
        x = draw(rng, draw_shape(rng, 2))
        if op in ("ln", "sqrt"):
            x = np.abs(apart_from_zero(x))
        if op == "abs":
            x.flat[0] = 0
        yield case(op, function, x)


def activations(rng):
    all_of = {
        "tanh": (torch.tanh, []),
        "relu": (F.relu, []),
        "sigmoid": (torch.sigmoid, []),
        "affine": (lambda x, alpha, beta: alpha * x + beta, [0.7, -0.3]),
        "leaky_relu": (F.leaky_relu, [0.2]),
        "thresholded_relu": (lambda x, alpha: F.threshold(x, alpha, 0.0), [0.5]),
        "scaled_tanh": (lambda x, alpha, beta: alpha * torch.tanh(beta * x), [1.7, 0.6]),
        "hard_sigmoid": (lambda x, alpha, beta: F.hardsigmoid(x), [1 / 6, 0.5]),
        "hard_sigmoid_keras": (lambda x, alpha, beta: (alpha * x + beta).clamp(0, 1), [0.2, 0.5]),
        "elu": (F.elu, [1.5]),
        "softsign": (F.softsign, []),
        "softplus": (F.softplus, []),
    }
    for op, (function, constants) in all_of.items():
        for axes in (1, 3):
            x = 3 * draw(rng, draw_shape(rng, axes))
            # Where some of them bend, and where others are flat.
            x = np.concatenate([x.reshape(-1), np.float32([0, 30, -30])])
            yield case(op.removesuffix("_keras"),
                       lambda x, function=function, constants=constants: function(x, *constants),
                       x, constants=constants)


def gated(rng):
    for axes in (1, 2, 3):
        shape = list(draw_shape(rng, axes))
        axis = int(rng.integers(0, axes))
        shape[axis] *= 2
        yield case("glu", lambda x, axis=axis: F.glu(x, axis), 2 * draw(rng, shape), axis=axis)


def reductions(rng):
    functions = {"sum": torch.sum, "mean": torch.mean, "largest": torch.amax}
    for op, function in functions.items():
        for count in (1, 2, 3):
            shape = draw_shape(rng, 4, 5)
            axes = [int(axis) for axis in rng.permutation(4)[:count]]
            x = draw(rng, shape)
            if op == "largest":
                # Some are equal, and share the gradient.
                x = np.round(2 * x) / 2
            yield case(op, lambda x, function=function, axes=axes: function(x, dim=axes), x, axes=axes)
        # Longer than a block of the CPU's, or the lanes of a workgroup.
        yield case(op, lambda x, function=function: function(x, dim=[1]), draw(rng, (2, 700)), axes=[1])


def along(x, axis, lengths, function):
    """`function` of the valid elements of each line along an axis, one result each."""
    x = x.movedim(axis, -1)
    lines = x.reshape(-1, x.shape[-1])
    counts = torch.broadcast_to(lengths, x.shape[:-1]).reshape(-1)
    results = [function(line, int(count)) for line, count in zip(lines, counts)]
    return torch.stack(results).reshape(x.shape[:-1] + results[0].shape)


def draw_lengths(rng, shape, axis, least):
    """Lengths [N, 1], or [N] where the steps are the last axis, of a value whose
    sequences are the axis after or before that of the steps."""
    beside = axis + 1 if axis + 1 < len(shape) else axis - 1
    lengths = rng.integers(least, shape[axis] + 1, shape[beside]).astype(np.uint32)
    lengths[0] = least
    lengths_shape = [1] * len(shape)
    lengths_shape[beside] = shape[beside]
    return lengths.reshape(lengths_shape)


def places(lengths, axis):
    """Lengths for each line along the axis, to be broadcast."""
    return torch.from_numpy(lengths.astype(np.int64)).movedim(axis, -1).squeeze(-1)


def valid_steps(rng):
    zero = lambda line: line[:0].sum()
    functions = {
        "sum_valid": (0, lambda line, n: line[:n].sum()),
        "mean_valid": (0, lambda line, n: line[:n].mean() if n else zero(line)),
        "max_valid": (1, lambda line, n: line[:n].amax()),
        # An index beyond the last step gives 0, where PyTorch refuses it.
        "take": (0, lambda line, n: line[n] if n < len(line) else zero(line)),
    }
    for op, (least, function) in functions.items():
        for axes, axis in ((3, 0), (2, 1), (4, 2)):
            shape = tuple(size + 1 for size in draw_shape(rng, axes, 4))
            lengths = draw_lengths(rng, shape, axis, least)
            yield case(op, lambda x, axis=axis, lengths=lengths, function=function:
                       along(x, axis, places(lengths, axis), function),
                       draw(rng, shape), lengths=lengths, axis=axis)


def masked_softmax(line, count, function, beyond):
    rest = torch.full((len(line) - count,), beyond, dtype=line.dtype)
    return torch.cat([function(line[:count], dim=0), rest])


def softmaxes(rng):
    functions = {"softmax": (torch.softmax, 0.0), "log_softmax": (torch.log_softmax, -torch.inf)}
    for op, (function, beyond) in functions.items():
        for axes, axis in ((1, 0), (3, 1), (2, 1)):
            x = 3 * draw(rng, draw_shape(rng, axes))
            yield case(op, lambda x, function=function, axis=axis: function(x, dim=axis), x, axis=axis)
        yield case(op, lambda x, function=function: function(x, dim=1), 3 * draw(rng, (2, 300)), axis=1)
        for axes, axis in ((2, 1), (3, 0)):
            shape = tuple(size + 1 for size in draw_shape(rng, axes))
            # A line without valid elements too.
            lengths = draw_lengths(rng, shape, axis, 0)
            yield case(op, lambda x, axis=axis, lengths=lengths, function=function, beyond=beyond:
                       along(x, axis, places(lengths, axis),
                             lambda line, n: masked_softmax(line, n, function, beyond)).movedim(-1, axis),
                       3 * draw(rng, shape), lengths=lengths, axis=axis)


def views(rng):
    for count in (1, 2, 4):
        shape = list(draw_shape(rng, 3))
        axis = int(rng.integers(0, 3))
        parts = []
        for size in draw_shape(rng, count):
            shape[axis] = size
            parts.append(draw(rng, shape))
        yield case("concat", lambda *parts, axis=axis: torch.cat(parts, dim=axis), *parts, axis=axis)
    for axes in (1, 2, 3):
        shape = tuple(size + 2 for size in draw_shape(rng, axes))
        axis = int(rng.integers(0, axes))
        start, end = sorted(int(at) for at in rng.permutation(shape[axis] + 1)[:2])
        yield case("slice", lambda x, axis=axis, start=start, end=end: x.narrow(axis, start, end - start),
                   draw(rng, shape), axis=axis, range=[start, end])
    for axes in (2, 3, 4):
        one, other = (int(axis) for axis in rng.permutation(axes)[:2])
        yield case("transpose", lambda x, one=one, other=other: x.transpose(one, other),
                   draw(rng, draw_shape(rng, axes)), axes=[one, other])
    n, m, k = draw_shape(rng, 3)
    for shape in ([n * m, k], [k, m, n], [n * m * k], [n, 1, m * k]):
        yield case("reshape", lambda x, shape=shape: x.reshape(shape), draw(rng, (n, m, k)), shape=shape)
    # Elements that have to be put in order first.
    yield case("reshape_transposed", lambda x: x.transpose(0, 2).reshape(k * m, n),
               draw(rng, (n, m, k)), shape=[k * m, n])


def products(rng):
    for batch, other in (((), ()), ((3,), (3,)), ((2, 3), (3,)), ((), (4,)), ((2, 1), (3,)), ((2, 1), (1, 3))):
        for left, right in ((False, False), (True, False), (False, True), (True, True)):
            m, k, n = draw_shape(rng, 3, 7)
            a = batch + ((k, m) if left else (m, k))
            b = other + ((n, k) if right else (k, n))
            yield case("matmul", lambda a, b, left=left, right=right:
                       (a.mT if left else a) @ (b.mT if right else b),
                       draw(rng, a), draw(rng, b), order=[left, right])
    yield case("matmul", torch.matmul, draw(rng, (3, 130)), draw(rng, (130, 2)), order=[False, False])


def norms(rng):
    for gain, bias in ((False, False), (True, False), (False, True), (True, True)):
        for axes in (1, 3):
            # Of two features the gradient is the difference of nearly equal numbers.
            shape = draw_shape(rng, axes - 1) + (int(rng.integers(4, 13)),)
            inputs = [draw(rng, shape)] + [draw(rng, shape[-1:]) for on in (gain, bias) if on]

            def norm(x, *rest, gain=gain, bias=bias):
                rest = list(rest)
                weight = rest.pop(0) if gain else None
                return F.layer_norm(x, x.shape[-1:], weight, rest.pop(0) if bias else None, eps=1e-3)

            yield case("layer_norm", norm, *inputs, constants=[1e-3], order=[gain, bias])


def convolutions(rng):
    for stride, dilation, groups, before, after in (
            (1, 1, 1, 0, 0), (1, 2, 1, 2, 2), (2, 1, 1, 1, 0), (3, 2, 2, 0, 3), (1, 1, 3, 1, 1)):
        kernel, batch, per_group, outputs = draw_shape(rng, 4, 4)
        steps = dilation * (kernel - 1) + 1 + int(rng.integers(0, 8))
        x = draw(rng, (steps, batch, groups * per_group))
        inputs = [x, draw(rng, (groups * outputs, per_group, kernel)), draw(rng, (groups * outputs,))]

        def convolution(x, w, b, window=(stride, dilation, groups, before, after)):
            stride, dilation, groups, before, after = window
            # [T, N, C] as PyTorch has it, [N, C, T].
            x = F.pad(x.permute(1, 2, 0), (before, after))
            return F.conv1d(x, w, b, stride=stride, dilation=dilation, groups=groups).permute(2, 0, 1)

        yield case("conv1d", convolution, *inputs, window=[stride, dilation, groups, before, after])
    for axis, before, after in ((0, 2, 1), (1, 0, 3)):
        pads = [0, 0, before, after] if axis == 0 else [before, after, 0, 0]
        yield case("pad", lambda x, pads=pads: F.pad(x, pads), draw(rng, draw_shape(rng, 2)),
                   axis=axis, range=[before, after])


# A family is a generator of cases; a new operation adds one here, and an arm to the test.
FAMILIES = [element_wise, activations, gated, reductions, valid_steps, softmaxes, views, products, norms,
            convolutions]


def run(rng, case):
    """The case's arrays."""
    operands = [double(x).requires_grad_() for x in case["inputs"]]
    y = case["function"](*operands)
    dy = draw(rng, tuple(y.shape))
    y.backward(double(dy))
    arrays = {"y": single(y), "dy": dy}
    for i, (x, operand) in enumerate(zip(case["inputs"], operands)):
        assert operand.grad.isfinite().all(), case["op"]
        arrays |= {f"x{i}": x, f"dx{i}": single(operand.grad)}
    if case["lengths"] is not None:
        arrays["lengths"] = case["lengths"]
    return arrays


def main():
    torch.set_num_threads(1)
    rng = np.random.default_rng(SEED)
    tensors, entries = {}, []
    for family in FAMILIES:
        for case in family(rng):
            name = f"{len(entries):03}_{case['op']}"
            tensors |= {f"{name}/{key}": value for key, value in run(rng, case).items()}
            entries.append({"name": name, "op": case["op"], "inputs": len(case["inputs"])} | case["arguments"])
    metadata = {"cases": json.dumps(entries)} | made_by(__file__)
    size = write(OUT, tensors, metadata)
    assert size < MAX_BYTES, size
    print(f"{OUT.name}: {len(entries)} cases, {size} bytes")


if __name__ == "__main__":
    main()
