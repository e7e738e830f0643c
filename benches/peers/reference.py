"""Recurrent layers written plainly in numpy and float64: what every peer's output and gradients are held against.

Weights are PyTorch's, by its names. x is [T, N, I]; y is [T, N, D*H].
"""

import numpy


def sigmoid(a):
    return 0.5 * (1 + numpy.tanh(0.5 * a))


def lstm(a, u, h, c):
    """The new h and c from the gates' input parts a and recurrent parts u, and what the derivative needs."""
    i, f, g, o = numpy.split(a + u, 4, axis=-1)
    i, f, g, o = sigmoid(i), sigmoid(f), numpy.tanh(g), sigmoid(o)
    new = f * c + i * g
    t = numpy.tanh(new)
    return o * t, new, (i, f, g, o, c, t)


def lstm_back(kept, dh, dc):
    """Gradients of a, of u, of the old h outside the products, and of the old c."""
    i, f, g, o, c, t = kept
    dc = dc + dh * o * (1 - t * t)
    gates = [dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g * g), dh * t * o * (1 - o)]
    da = numpy.concatenate(gates, axis=-1)
    return da, da, 0, dc * f


def gru(a, u, h, c):
    (ar, az, an), (ur, uz, un) = numpy.split(a, 3, axis=-1), numpy.split(u, 3, axis=-1)
    r, z = sigmoid(ar + ur), sigmoid(az + uz)
    n = numpy.tanh(an + r * un)
    return (1 - z) * n + z * h, c, (r, z, n, un, h)


def gru_back(kept, dh, dc):
    r, z, n, un, h = kept
    dn = dh * (1 - z) * (1 - n * n)
    dz = dh * (h - n) * z * (1 - z)
    dr = dn * un * r * (1 - r)
    return numpy.concatenate([dr, dz, dn], axis=-1), numpy.concatenate([dr, dz, dn * r], axis=-1), dh * z, dc


def elman(a, u, h, c):
    new = numpy.tanh(a + u)
    return new, c, new


def elman_back(kept, dh, dc):
    da = dh * (1 - kept * kept)
    return da, da, 0, dc


CELLS = {"lstm": (lstm, lstm_back), "gru": (gru, gru_back), "elman": (elman, elman_back)}


def run(shape, data, gradients):
    """y, and if wanted the gradients of the sum of y, by name."""
    step, step_back = CELLS[shape["cell"]]
    data = {name: array.astype(numpy.float64) for name, array in data.items()}
    steps, batch, hidden = shape["steps"], shape["batch"], shape["hidden"]
    zero = numpy.zeros((batch, hidden))
    tape, now = [], data["x"]
    for layer in range(shape["layers"]):
        outputs = []
        for end in [f"_l{layer}", f"_l{layer}_reverse"][: shape["directions"]]:
            w, r = data["weight_ih" + end], data["weight_hh" + end]
            bias, bias_r = data["bias_ih" + end], data["bias_hh" + end]
            order = range(steps - 1, -1, -1) if end.endswith("_reverse") else range(steps)
            a = now @ w.T + bias
            y, before, kept = numpy.empty((steps, batch, hidden)), numpy.empty((steps, batch, hidden)), [None] * steps
            h = c = zero
            for t in order:
                before[t] = h
                h, c, kept[t] = step(a[t], h @ r.T + bias_r, h, c)
                y[t] = h
            outputs.append(y)
            tape.append((layer, end, order, now, before, kept))
        now = numpy.concatenate(outputs, axis=-1)
    if not gradients:
        return now, None

    found, dy, dx = {}, numpy.ones_like(now), None
    for layer in range(shape["layers"] - 1, -1, -1):
        dx = 0
        for direction, (_, end, order, x, before, kept) in enumerate(entry for entry in tape if entry[0] == layer):
            mine = dy[..., direction * hidden : (direction + 1) * hidden]
            w, r = data["weight_ih" + end], data["weight_hh" + end]
            da, du = numpy.empty((steps, batch, len(w))), numpy.empty((steps, batch, len(w)))
            dh = dc = zero
            for t in reversed(order):
                da[t], du[t], dh, dc = step_back(kept[t], mine[t] + dh, dc)
                dh = dh + du[t] @ r
            found["weight_ih" + end] = numpy.tensordot(da, x, axes=([0, 1], [0, 1]))
            found["weight_hh" + end] = numpy.tensordot(du, before, axes=([0, 1], [0, 1]))
            found["bias_ih" + end], found["bias_hh" + end] = da.sum((0, 1)), du.sum((0, 1))
            dx = dx + da @ w
        dy = dx
    found["x"] = dx
    return now, found


def make(shape, seed=0):
    """Weights as PyTorch begins, U(-1/sqrt(H), 1/sqrt(H)), and x from U(-1, 1)."""
    random = numpy.random.default_rng(seed)
    hidden = shape["hidden"]
    bound, gates = hidden**-0.5, {"lstm": 4, "gru": 3, "elman": 1}[shape["cell"]]
    uniform = lambda size, bound: random.uniform(-bound, bound, size).astype(numpy.float32)
    data = {"x": uniform((shape["steps"], shape["batch"], shape["input"]), 1)}
    for layer in range(shape["layers"]):
        width = shape["input"] if layer == 0 else hidden * shape["directions"]
        for end in [f"_l{layer}", f"_l{layer}_reverse"][: shape["directions"]]:
            data["weight_ih" + end] = uniform((gates * hidden, width), bound)
            data["weight_hh" + end] = uniform((gates * hidden, hidden), bound)
            data["bias_ih" + end] = uniform(gates * hidden, bound)
            data["bias_hh" + end] = uniform(gates * hidden, bound)
    return data
