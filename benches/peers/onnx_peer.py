"""ONNX Runtime: its CPU provider, or its WebGPU provider (Dawn, on Vulkan, Metal or Direct3D 12).

    python onnx_peer.py cpu|webgpu

WebGPU comes as a plugin, the package onnxruntime-ep-webgpu. Each shape becomes a model of LSTM, GRU or RNN nodes.
Input and output are bound to the device the session runs on.
"""

import argparse
import os
import sys

import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import peer

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
# ONNX: i, o, f, c; z, r, h. PyTorch: i, f, g, o; r, z, n.
NODES = {"lstm": ("LSTM", [0, 3, 1, 2]), "gru": ("GRU", [1, 0, 2]), "elman": ("RNN", [0])}


def model(shape, data):
    op, order = NODES[shape["cell"]]
    hidden, directions = shape["hidden"], shape["directions"]
    nodes, constants = [], []

    def constant(name, array):
        constants.append(numpy_helper.from_array(numpy.ascontiguousarray(array), name))
        return name

    def gates(name):
        blocks = numpy.split(data[name], len(order))
        return numpy.concatenate([blocks[gate] for gate in order])

    now = "x"
    for layer, ends in enumerate(peer.suffixes(shape)):
        w = constant(f"w{layer}", numpy.stack([gates("weight_ih" + end) for end in ends]))
        r = constant(f"r{layer}", numpy.stack([gates("weight_hh" + end) for end in ends]))
        both = [numpy.concatenate([gates("bias_ih" + end), gates("bias_hh" + end)]) for end in ends]
        b = constant(f"b{layer}", numpy.stack(both))
        extra = {"linear_before_reset": 1} if op == "GRU" else {}
        extra["direction"] = "bidirectional" if directions == 2 else "forward"
        nodes.append(helper.make_node(op, [now, w, r, b], [f"y{layer}"], hidden_size=hidden, **extra))
        # [T, D, N, H] to [T, N, D*H]
        joined = "y" if layer == shape["layers"] - 1 else f"x{layer + 1}"
        if directions == 1:
            axis = constant(f"axis{layer}", numpy.array([1], numpy.int64))
            nodes.append(helper.make_node("Squeeze", [f"y{layer}", axis], [joined]))
        else:
            sizes = constant(f"sizes{layer}", numpy.array([0, 0, -1], numpy.int64))
            nodes.append(helper.make_node("Transpose", [f"y{layer}"], [f"z{layer}"], perm=[0, 2, 1, 3]))
            nodes.append(helper.make_node("Reshape", [f"z{layer}", sizes], [joined]))
        now = joined
    sizes = [shape["steps"], shape["batch"]]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [*sizes, shape["input"]])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [*sizes, hidden * directions])
    graph = helper.make_graph(nodes, "layer", [x], [y], constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    onnx.checker.check_model(made)
    return made.SerializeToString()


class Layer:
    training = None  # the package is for inference

    def __init__(self, shape, data, add_provider):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = CORES
        # By default threads spin for work for some 50 ms after a run, when others are timed. Without, a run takes as long.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self.place = add_provider(options)
        if self.place == "webgpu":
            # What this provider cannot do would run on the CPU without a word.
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        try:
            # A provider that fails must not be replaced by the CPU's either.
            self.session = onnxruntime.InferenceSession(model(shape, data), options, enable_fallback=False)
        except Exception as error:
            if self.place == "webgpu" and "fallback to CPU EP has been explicitly disabled" in str(error):
                raise peer.Unsupported(f"its WebGPU provider has no {NODES[shape['cell']][0]}") from None
            raise
        self.binding = self.session.io_binding()
        self.x = onnxruntime.OrtValue.ortvalue_from_numpy(data["x"], self.place)
        self.binding.bind_ortvalue_input("x", self.x)
        size = [shape["steps"], shape["batch"], shape["hidden"] * shape["directions"]]
        self.y = onnxruntime.OrtValue.ortvalue_from_shape_and_type(size, numpy.float32, self.place)
        self.binding.bind_ortvalue_output("y", self.y)
        self.one = onnxruntime.OrtValue.ortvalue_from_numpy(numpy.zeros(1, numpy.float32), self.place)

    def forward(self):
        self.session.run_with_iobinding(self.binding)
        if self.place == "webgpu":
            # A run returns when its work is submitted, and synchronize_outputs() does not wait for it with this
            # provider. Reading another buffer does: the queue is in order. It costs 0.1 ms on a GPU in software.
            self.one.numpy()

    def output(self):
        return numpy.ascontiguousarray(self.y.numpy())


def webgpu():
    """The plugin's device, what to call its adapter, and the plugin's version."""
    # Without this no GPU in software, and none that ONNX Runtime itself does not find, would be offered.
    os.environ.setdefault("ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER", "1")
    import onnxruntime_ep_webgpu as plugin

    onnxruntime.register_execution_provider_library("webgpu", plugin.get_library_path())
    devices = [device for device in onnxruntime.get_ep_devices() if device.ep_name == plugin.get_ep_name()]
    if not devices:
        sys.exit("ONNX Runtime's WebGPU plugin offers no device")
    hardware = devices[0].device
    name = "an adapter Dawn chose and does not name"
    if hardware.type == onnxruntime.OrtHardwareDeviceType.GPU:
        name = hardware.metadata.get("Description") or f"{hardware.vendor} GPU {hardware.device_id:#x}, by Dawn"
    # Whether Dawn takes the driver shows only when a session is made.
    shape = {"cell": "lstm", "input": 1, "hidden": 1, "batch": 1, "steps": 1, "layers": 1, "directions": 1}
    ones = {"weight_ih_l0": (4, 1), "weight_hh_l0": (4, 1), "bias_ih_l0": 4, "bias_hh_l0": 4, "x": (1, 1, 1)}
    data = {key: numpy.ones(size, numpy.float32) for key, size in ones.items()}

    def add_provider(options):
        options.add_provider_for_devices(devices[:1], {})
        return "webgpu"

    try:
        Layer(shape, data, add_provider).forward()
    except Exception as error:
        # All before it is the condition's place in the source.
        sys.exit(f"WebGPU does not start: {' '.join(str(error).split()).rsplit(' was false. ', 1)[-1]}")
    return add_provider, name, devices[0].ep_metadata.get("version", "unknown")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("device", choices=["cpu", "webgpu"])
    args = parser.parse_args()
    onnxruntime.set_default_logger_severity(4)
    banner = {"peer": f"onnxruntime {args.device}", "version": onnxruntime.__version__}
    if args.device == "cpu":
        banner |= {"adapter": "CPU", "driver": f"{CORES} threads"}

        def add_provider(options):
            options.add_provider("CPUExecutionProvider", {})
            return "cpu"
    else:
        add_provider, adapter, version = webgpu()
        banner |= {"adapter": adapter, "driver": f"onnxruntime-ep-webgpu {version}"}
    peer.serve(banner, lambda shape, data: Layer(shape, data, add_provider))


main()
