"""Makes tests/fixtures/onnx: the RNN, GRU and LSTM node tests of the `onnx` package,
in the layout of ONNX's backend tests:

    NAME/model.onnx
    NAME/test_data_set_0/input_0.pb ... output_0.pb ...

An input or output that the node leaves out has no file, as in the package.

Run it with

    python3 scripts/make_onnx_cases.py

Needs onnx; see scripts/requirements.txt. The cases are under Apache License 2.0.
"""

import shutil
import warnings
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

OUT = Path(__file__).resolve().parent.parent / "tests" / "fixtures" / "onnx"
OPERATORS = {"RNN", "GRU", "LSTM"}


def cases():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # computing other nodes' cases divides by 0
        from onnx.backend.test.case.node import collect_testcases

        tests = collect_testcases(None)
    for test in tests:
        nodes = test.model.graph.node
        if len(nodes) == 1 and nodes[0].op_type in OPERATORS:
            yield test


def write(test, folder):
    (folder / "test_data_set_0").mkdir(parents=True)
    onnx.save(test.model, folder / "model.onnx")
    inputs, outputs = test.data_sets[0]
    for kind, values, infos in [("input", inputs, test.model.graph.input), ("output", outputs, test.model.graph.output)]:
        for number, (value, info) in enumerate(zip(values, infos, strict=True)):
            tensor = numpy_helper.from_array(np.asarray(value), info.name)
            path = folder / "test_data_set_0" / f"{kind}_{number}.pb"
            path.write_bytes(tensor.SerializeToString())


def main():
    # Made beside, so that a fault leaves the old ones.
    new = OUT.with_name("onnx.new")
    shutil.rmtree(new, ignore_errors=True)
    names = []
    for test in cases():
        write(test, new / test.name)
        names.append(test.name)
    assert len(names) == 18, names
    shutil.rmtree(OUT, ignore_errors=True)
    new.rename(OUT)
    size = sum(path.stat().st_size for path in OUT.rglob("*") if path.is_file())
    print(f"{len(names)} cases, {size} bytes, onnx {onnx.__version__}")


if __name__ == "__main__":
    main()
