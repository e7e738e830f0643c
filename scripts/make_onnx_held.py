"""Small ONNX models whose weights, states and lengths come in the ways that exporters write them, with ONNX Runtime's answers.

    python3 scripts/make_onnx_held.py tests/fixtures/onnx_held

Needs onnx, onnxruntime and numpy. Each NAME.onnx has one recurrent node "lstm" (or "gru", "rnn") with T 5, N 2, I 3, H 4;
NAME.json holds the input `x` and the outputs `yout`, `yh` and `yc`.
"""

import json
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

T, N, I, H = 5, 2, 3, 4
rng = np.random.default_rng(19)


def array(*shape):
    return (rng.standard_normal(shape) * 0.4).astype(np.float32)


def const(name, value):
    return numpy_helper.from_array(np.asarray(value), name)


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs, outputs, name=attributes.pop("name", ""), **attributes)


class Case:
    """W, R and B of an operator, made by nodes out of initialisers."""

    def __init__(self, op="LSTM", opset=17, directions=1):
        self.op, self.opset, self.directions = op, opset, directions
        self.gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[op]
        g = self.gates
        self.w, self.r, self.b = array(directions, g * H, I), array(directions, g * H, H), array(directions, 2 * g * H)
        self.nodes, self.held = [], []

    def hold(self, **tensors):
        self.held += [const(name, value) for name, value in tensors.items()]
        return self

    def add(self, op, inputs, outputs, **attributes):
        self.nodes.append(node(op, inputs, outputs, **attributes))
        return self

    def axes(self, op, x, y, axes):
        """Squeeze or Unsqueeze: axes are an attribute before opset 13."""
        if self.opset < 13:
            return self.add(op, [x], [y], axes=axes)
        name = f"axes_{y}"
        return self.hold(**{name: np.array(axes, np.int64)}).add(op, [x, name], [y])

    def slice(self, x, y, axis, start, end, step=1):
        """Slice: its bounds are attributes before opset 10."""
        if self.opset < 10:
            return self.add("Slice", [x], [y], axes=[axis], starts=[start], ends=[end])
        names = {f"{part}_{y}": np.array([value], np.int64) for part, value in
                 [("start", start), ("end", end), ("axis", axis), ("step", step)]}
        return self.hold(**names).add("Slice", [x, *names], [y])

    def missing(self):
        """Initialisers for those of W, R and B that no node makes."""
        made = {name for n in self.nodes for name in n.output} | {t.name for t in self.held}
        for name, value in [("W", self.w), ("R", self.r), ("B", self.b)]:
            if name not in made:
                self.hold(**{name: value})

    def save(self, folder, name, inputs=("X", "W", "R", "B"), external=False, domain="", wrap=None, **attributes):
        if domain == "":
            self.missing()
        outputs = ["Y", "Yh"] + (["Yc"] if self.op == "LSTM" else [])
        op = "DynamicQuantizeLSTM" if domain else self.op
        direction = "bidirectional" if self.directions == 2 else "forward"
        cell = helper.make_node(op, list(inputs), outputs, name=self.op.lower(), domain=domain, hidden_size=H,
                                direction=direction, **attributes)
        nodes = self.nodes + [cell]
        if wrap:
            nodes = wrap(self, cell, outputs)
        x_info = helper.make_tensor_value_info("X", TensorProto.FLOAT, ["T", "N", I])
        infos = [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outputs]
        graph = helper.make_graph(nodes, name, [x_info], infos, self.held)
        opsets = [helper.make_opsetid("", self.opset)] + ([helper.make_opsetid(domain, 1)] if domain else [])
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        path = folder / f"{name}.onnx"
        if external:
            onnx.save_model(model, str(path), save_as_external_data=True, location=f"{name}.onnx.data", size_threshold=0,
                            convert_attribute=True)
        else:
            onnx.save_model(model, str(path))
        x = array(T, N, I)
        session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        got = session.run(None, {"X": x})
        as_json = lambda a: {"shape": list(a.shape), "data": [float(v) for v in a.ravel()]}
        entry = {"name": self.op.lower(), "op": self.op, "x": as_json(x), "quantized": bool(domain)}
        entry |= {key: as_json(a) for key, a in zip(["yout", "yh", "yc"], got)}
        (folder / f"{name}.json").write_text(json.dumps({"file": f"{name}.onnx", "nodes": [entry]}) + "\n")


def quantized(value, axis=None, unsigned=False):
    """Eight bits, a scale and a zero point: of all, or along an axis."""
    over = tuple(i for i in range(value.ndim) if axis is None or i != axis)
    most = np.abs(value).max(axis=over, keepdims=True)
    if unsigned:
        low, high = np.minimum(value.min(axis=over, keepdims=True), 0), np.maximum(value.max(axis=over, keepdims=True), 0)
        scale = (high - low) / 255
        zero = np.round(-low / scale)
        q = np.clip(np.round(value / scale) + zero, 0, 255).astype(np.uint8)
        zero = zero.astype(np.uint8)
    else:
        scale = most / 127
        zero = np.zeros_like(scale).astype(np.int8)
        q = np.clip(np.round(value / scale), -127, 127).astype(np.int8)
    shape = () if axis is None else (value.shape[axis],)
    return q, scale.astype(np.float32).reshape(shape), zero.reshape(shape)


def main(folder):
    for opset in [7, 9, 11, 13, 17, 21]:
        for op in ["LSTM", "GRU", "RNN"]:
            # As PyTorch writes two directions: matrices of each are made of gates in another order, and put together.
            case = Case(op, opset, directions=2)
            g = case.gates
            for name, value in [("W", case.w), ("R", case.r)]:
                for d in range(2):
                    case.hold(**{f"{name}{d}": value[d]})
                    parts = []
                    for k in range(g):
                        case.slice(f"{name}{d}", f"{name}{d}_{k}", 0, k * H, (k + 1) * H)
                        parts.append(f"{name}{d}_{k}")
                    case.add("Concat", parts, [f"{name}{d}_all"], axis=0).axes("Unsqueeze", f"{name}{d}_all", f"{name}{d}_one", [0])
                case.add("Concat", [f"{name}0_one", f"{name}1_one"], [name], axis=0)
            case.save(folder, f"pieces_{op.lower()}_{opset}")
    for opset in [7, 13, 17]:
        case = Case("LSTM", opset)
        case.hold(Wt=case.w.transpose(0, 2, 1).copy()).add("Transpose", ["Wt"], ["W"], perm=[0, 2, 1])
        case.hold(Rf=case.r.reshape(-1), Rs=np.array([1, -1, H], np.int64)).add("Reshape", ["Rf", "Rs"], ["R"])
        case.hold(B64=case.b.astype(np.float64)).add("Cast", ["B64"], ["Bi"], to=1).add("Identity", ["Bi"], ["B"])
        case.save(folder, f"moved_{opset}")

    case = Case()
    case.hold(WR=np.concatenate([case.w, case.r], axis=2), sizes=np.array([I, H], np.int64))
    case.add("Split", ["WR", "sizes"], ["W", "R"], axis=2)
    case.hold(two=np.array(2, np.float32), Bh=case.b / 2).add("Mul", ["Bh", "two"], ["B"])
    case.save(folder, "split")
    case = Case(opset=11)
    case.hold(WR=np.concatenate([case.w, case.r], axis=2)).add("Split", ["WR"], ["W", "R"], axis=2, split=[I, H])
    case.save(folder, "split_11")

    case = Case()
    order = rng.permutation(4 * H)
    back = np.argsort(order)
    case.hold(Wp=case.w[:, order], back=back.astype(np.int64)).add("Gather", ["Wp", "back"], ["W"], axis=1)
    case.hold(stack=np.stack([array(1, 4 * H, H), case.r]), one=np.array(-1, np.int64)).add("Gather", ["stack", "one"], ["R"], axis=0)
    case.save(folder, "gathered")

    case = Case()
    # The state's shape by Shape of a weight, as tf2onnx and PyTorch trace it; and values by arithmetic.
    case.hold(i2=np.array([2], np.int64), one=np.array([1], np.int64), n=np.array([N], np.int64), h0=array(1, 1, H))
    case.hold(R=case.r).add("Shape", ["R"], ["Rshape"]).add("Gather", ["Rshape", "i2"], ["Hs"], axis=0)
    case.add("Concat", ["one", "n", "Hs"], ["state"], axis=0).add("Expand", ["h0", "state"], ["h0n"])
    case.add("ConstantOfShape", ["state"], ["c0"], value=helper.make_tensor("v", TensorProto.FLOAT, [1], [0.25]))
    case.hold(m=np.array(-1, np.float32), W_=case.w).add("Mul", ["W_", "m"], ["Wn"]).add("Neg", ["Wn"], ["Ws"]).add("Sub", ["Ws", "zero"], ["Wa"]).add("Add", ["Wa", "zero"], ["Wb"]).add("Div", ["Wb", "half"], ["Wc"]).add("Mul", ["Wc", "half"], ["W"])
    case.hold(zero=np.array(0, np.float32), half=np.array(0.5, np.float32))
    case.save(folder, "arithmetic", inputs=["X", "W", "R", "B", "", "h0n", "c0"])

    case = Case()
    case.hold(l64=np.array([3, 5], np.int64)).add("Cast", ["l64"], ["lens"], to=6)
    case.hold(hc=np.stack([array(1, N, H), array(1, N, H)]))
    case.hold(k0=np.array(0, np.int64), k1=np.array(1, np.int64)).add("Gather", ["hc", "k0"], ["h0"], axis=0).add("Gather", ["hc", "k1"], ["c0"], axis=0)
    case.save(folder, "cast_lengths", inputs=["X", "W", "R", "B", "lens", "h0", "c0"])

    case = Case()
    for name, value in [("W", case.w), ("R", case.r), ("B", case.b)]:
        case.nodes.append(helper.make_node("Constant", [], [name], value=const(f"v{name}", value)))
    case.save(folder, "constant_nodes")
    case = Case()
    for name, value in [("W", case.w), ("R", case.r)]:
        case.nodes.append(helper.make_node("Constant", [], [name], value=const(f"v{name}", value)))
    case.save(folder, "external_all", external=True)

    for axis, unsigned, opset in [(None, False, 10), (None, True, 13), (1, False, 13), (1, True, 17), (2, False, 21)]:
        case = Case(opset=opset)
        for name, value in [("W", case.w), ("R", case.r)]:
            q, scale, zero = quantized(value, axis, unsigned)
            case.hold(**{f"{name}q": q, f"{name}s": scale, f"{name}z": zero})
            inputs = [f"{name}q", f"{name}s"] + ([f"{name}z"] if unsigned else [])
            case.add("DequantizeLinear", inputs, [name], **({} if axis is None else {"axis": axis}))
        case.save(folder, f"dequantized_{'all' if axis is None else axis}_{'u8' if unsigned else 'i8'}_{opset}")

    for unsigned in [False, True]:
        # ONNX Runtime wants one zero point for all rows.
        for each in [False] if unsigned else [False, True]:
            case = Case()
            for name, value in [("W", case.w), ("R", case.r)]:
                q, scale, zero = quantized(value[0].T.copy(), 1 if each else None, unsigned)
                case.hold(**{name: q[None], f"{name}s": scale.reshape((1, -1) if each else (1,)), f"{name}z": zero.reshape((1, -1) if each else (1,))})
            case.hold(B=case.b)
            inputs = ["X", "W", "R", "B", "", "", "", "", "Ws", "Wz", "Rs", "Rz"]
            case.save(folder, f"dynamic_{'each' if each else 'all'}_{'u8' if unsigned else 'i8'}", inputs=inputs, domain="com.microsoft")

    def in_if(case, cell, outputs):
        infos = [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outputs]
        zero = helper.make_node("LSTM", ["X", "W0", "R", "B"], [f"{o}" for o in outputs], name="other", hidden_size=H)
        case.hold(W0=case.w * 0, cond=np.array(True))
        branch = lambda n, name: helper.make_graph([n], name, [], infos)
        return case.nodes + [helper.make_node("If", ["cond"], outputs, name="if", then_branch=branch(cell, "then"), else_branch=branch(zero, "else"))]

    case = Case()
    case.save(folder, "in_if_named", wrap=in_if)

    def in_loop(case, cell, outputs):
        # One round, whose weights come from around the loop by nodes in its body.
        info = lambda name, kind, shape=None: helper.make_tensor_value_info(name, kind, shape)
        inner = [o + "_in" for o in outputs]
        cell.ClearField("output")
        cell.output.extend(inner)
        cell.input[1] = "Wt"
        body = helper.make_graph(
            [helper.make_node("Transpose", ["W2"], ["Wt"], perm=[0, 2, 1]), cell, helper.make_node("Identity", ["keep"], ["keep_out"])], "body",
            [info("i", TensorProto.INT64, []), info("keep", TensorProto.BOOL, [])],
            [info("keep_out", TensorProto.BOOL, [])] + [info(o, TensorProto.FLOAT) for o in inner])
        case.hold(W2=case.w.transpose(0, 2, 1).copy(), trips=np.array(1, np.int64), go=np.array(True), zero=np.array([0], np.int64))
        stacked = [o + "_all" for o in outputs]
        return case.nodes + [helper.make_node("Loop", ["trips", "go"], stacked, name="loop", body=body)] + [helper.make_node("Squeeze", [s, "zero"], [o]) for s, o in zip(stacked, outputs)]

    case = Case()
    case.save(folder, "in_loop", wrap=in_loop)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
