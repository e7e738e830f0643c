"""Recurrent layers and blocks written plainly in numpy and float64: what every peer's output and gradients are held
against.

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
    data = {name: array.astype(numpy.float64) for name, array in data.items()}
    if shape["cell"] in BLOCKS:
        y, found = BLOCKS[shape["cell"]](shape, data)
        return y, found if gradients else None
    return layer(shape, data, lambda y: numpy.ones_like(y) if gradients else None)


def layer(shape, data, slope):
    """y, and the gradients of what has the derivative `slope(y)` by y; none where there is no slope."""
    step, step_back = CELLS[shape["cell"]]
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
    found, dy, dx = {}, slope(now), None
    if dy is None:
        return now, None

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


def softmax(x):
    e = numpy.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def attention(shape, data):
    """Each step of x attends to all steps of its sequence, as in Luong et al. 2015: the scores are x_t W x_s."""
    x, w = data["x"].transpose(1, 0, 2), data["general.weight"]
    keys = x @ w.T
    p = softmax(x @ keys.transpose(0, 2, 1))
    y = p @ x
    dp = numpy.ones_like(y) @ x.transpose(0, 2, 1)
    scores = p * (dp - (p * dp).sum(-1, keepdims=True))
    dkeys = scores.transpose(0, 2, 1) @ x
    dx = p.transpose(0, 2, 1) @ numpy.ones_like(y) + scores @ keys + dkeys @ w
    found = {"x": dx.transpose(1, 0, 2), "general.weight": numpy.einsum("nsi,nsj->ij", dkeys, x)}
    return y.transpose(1, 0, 2), found


EPSILON = 1e-5


def residual(shape, data):
    """The layer norm of x + lstm(x)."""
    x, gain = data["x"], data["norm.weight"]
    found = {}

    def slope(y):
        total = x + y
        centred = total - total.mean(-1, keepdims=True)
        deviation = numpy.sqrt((centred**2).mean(-1, keepdims=True) + EPSILON)
        found["norm"] = norm = centred / deviation
        part = numpy.ones_like(norm) * gain
        back = part - part.mean(-1, keepdims=True) - norm * (part * norm).mean(-1, keepdims=True)
        return back / deviation

    y, gradients = layer(shape | {"cell": "lstm"}, data, slope)
    norm = found["norm"]
    gradients["x"] = gradients["x"] + slope(y)
    gradients |= {"norm.weight": norm.sum((0, 1)), "norm.bias": numpy.full_like(gain, norm[..., 0].size)}
    return norm * gain + data["norm.bias"], gradients


# Labels of each sequence of a CTC loss.
LABELS = 60


def ctc_labels(shape):
    sequence, label = numpy.ogrid[: shape["batch"], :LABELS]
    return 1 + (label * 13 + sequence * 7) % (shape["input"] - 1)


def log_add(terms):
    most = terms.max(0)
    most[most == -numpy.inf] = 0
    with numpy.errstate(divide="ignore"):
        return numpy.log(numpy.exp(terms - most).sum(0)) + most


def ctc(shape, data):
    """The loss of connectionist temporal classification (Graves et al. 2006) of x as logits, of full sequences, each
    divided by its number of labels, averaged; class 0 is the blank."""
    x, labels = data["x"], ctc_labels(shape)
    probability = softmax(x)
    steps, batch, _ = x.shape
    states = 2 * LABELS + 1
    classes = numpy.zeros((batch, states), int)
    classes[:, 1::2] = labels
    # Two steps back, where no blank stands between two labels that differ.
    skips = numpy.zeros((batch, states), bool)
    skips[:, 2:] = (classes[:, 2:] != 0) & (classes[:, 2:] != classes[:, :-2])
    emitted = numpy.log(numpy.take_along_axis(probability, numpy.broadcast_to(classes, (steps, batch, states)), 2))

    def moved(row, by, allowed=True):
        shifted = numpy.full_like(row, -numpy.inf)
        shifted[:, by:] = row[:, :-by]
        return numpy.where(allowed, shifted, -numpy.inf)

    def forward(emitted, skips):
        """Log probabilities of all beginnings that are in a state after each step."""
        rows = numpy.full((steps, batch, states), -numpy.inf)
        rows[0, :, :2] = emitted[0, :, :2]
        for t in range(1, steps):
            before = rows[t - 1]
            rows[t] = log_add(numpy.stack([before, moved(before, 1), moved(before, 2, skips)])) + emitted[t]
        return rows

    alpha = forward(emitted, skips)
    # The ends are the beginnings of what is read from behind; a skip stands at the state where it then begins.
    back = numpy.zeros_like(skips)
    back[:, 2:] = skips[:, ::-1][:, :-2]
    beta = forward(emitted[::-1, :, ::-1], back)[::-1, :, ::-1] - emitted
    total = log_add(alpha[-1, :, -2:].T)
    share = numpy.exp(alpha + beta - total[:, None])
    gradient = probability.copy()
    for n in range(batch):
        for s in range(states):
            gradient[:, n, classes[n, s]] -= share[:, n, s]
    scale = 1 / (LABELS * batch)
    return numpy.array([-total.sum() * scale]), {"x": gradient * scale}


BLOCKS = {"attention": attention, "residual": residual, "ctc": ctc}


def make(shape, seed=0):
    """Weights as PyTorch begins, U(-1/sqrt(H), 1/sqrt(H)), and x from U(-1, 1)."""
    random = numpy.random.default_rng(seed)
    hidden, cell = shape["hidden"], shape["cell"]
    bound = hidden**-0.5
    uniform = lambda size, bound: random.uniform(-bound, bound, size).astype(numpy.float32)
    data = {"x": uniform((shape["steps"], shape["batch"], shape["input"]), 1)}
    if cell == "attention":
        data["general.weight"] = uniform((shape["input"], shape["input"]), bound)
    if cell in ("attention", "ctc"):
        return data
    if cell == "residual":
        data |= {"norm.weight": 1 + uniform(hidden, 0.5), "norm.bias": uniform(hidden, 0.5)}
    gates = {"lstm": 4, "gru": 3, "elman": 1, "residual": 4}[cell]
    for layer in range(shape["layers"]):
        width = shape["input"] if layer == 0 else hidden * shape["directions"]
        for end in [f"_l{layer}", f"_l{layer}_reverse"][: shape["directions"]]:
            data["weight_ih" + end] = uniform((gates * hidden, width), bound)
            data["weight_hh" + end] = uniform((gates * hidden, hidden), bound)
            data["bias_ih" + end] = uniform(gates * hidden, bound)
            data["bias_hh" + end] = uniform(gates * hidden, bound)
    return data
