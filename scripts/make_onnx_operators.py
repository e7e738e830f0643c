"""Makes the node tests of the `onnx` package for the operators that `onnx::Graph` takes, in the layout of ONNX's backend tests:

    python3 scripts/make_onnx_operators.py tests/fixtures/onnx_operators.tar.gz --small

writes one archive; the name of a folder writes folders. Only tests whose data are floats (and integers where the operator has
indices, axes or lengths): this library computes in 32-bit floats. Tests of more than 2,000 bytes are left out with `--small`.
Needs onnx; the cases are under Apache License 2.0.
"""

import argparse
import pathlib
import warnings

import numpy as np
import onnx
from onnx import numpy_helper

import onnx_cases

OPERATORS = """Abs Add ArgMax BatchNormalization Cast Celu Clip Concat Conv Div Dropout Elu Erf Exp Expand Flatten GRU Gather Gelu Gemm
GlobalAveragePool GlobalMaxPool HardSigmoid HardSwish Identity LSTM LayerNormalization LeakyRelu Log LogSoftmax MatMul Max Min
Mish Mul Neg PRelu Pad Pow RNN Reciprocal ReduceL1 ReduceL2 ReduceMax ReduceMean ReduceMin ReduceSum ReduceSumSquare Relu
Reshape Selu Shape Sigmoid Size Slice Softmax Softplus Softsign Split Sqrt Squeeze Sub Sum Tanh ThresholdedRelu Tile Transpose
Unsqueeze Where""".split()


def collect():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # computing other nodes' cases divides by 0
        from onnx.backend.test.case.node import collect_testcases

        yield from collect_testcases(None)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("to", type=pathlib.Path, help="a .tar.gz or a folder")
    parser.add_argument("--small", action="store_true", help="leave large tests out")
    arguments = parser.parse_args()
    count = 0
    files = {}
    for test in collect():
        nodes = test.model.graph.node
        if len(nodes) != 1 or nodes[0].op_type not in OPERATORS or nodes[0].domain:
            continue
        inputs, outputs = test.data_sets[0]
        arrays = [a for a in [*inputs, *outputs] if a is not None]
        # The first input holds what is computed with.
        if not all(isinstance(a, np.ndarray) for a in arrays) or inputs[0].dtype not in (np.float32, np.bool_):
            continue
        if any(a.dtype not in (np.float32, np.int64, np.int32, np.bool_) for a in arrays):
            continue
        if nodes[0].op_type in ("Cast",) and outputs[0].dtype != np.float32:
            continue
        size = sum(a.nbytes for a in arrays)
        if arguments.small and size > 2_000:
            continue
        files[f"{test.name}/model.onnx"] = test.model.SerializeToString()
        for kind, values, infos in [("input", inputs, test.model.graph.input), ("output", outputs, test.model.graph.output)]:
            for i, (value, info) in enumerate(zip(values, infos)):
                if value is not None:
                    tensor = numpy_helper.from_array(np.asarray(value), info.name)
                    files[f"{test.name}/test_data_set_0/{kind}_{i}.pb"] = tensor.SerializeToString()
        count += 1
    onnx_cases.write(arguments.to, files)
    print(f"{count} tests")


if __name__ == "__main__":
    main()
