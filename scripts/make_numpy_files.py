"""Makes tests/fixtures/numpy_files: arrays of every type and order in files of numpy.savez, savez_compressed and save.

    python3 scripts/make_numpy_files.py

Needs numpy; see scripts/requirements.txt.
"""

import shutil
from pathlib import Path

import numpy as np

OUT = Path(__file__).resolve().parent.parent / "tests" / "fixtures" / "numpy_files"


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    # Quarters, which all types of floats hold.
    matrix = (np.arange(12) / 4 - 1).reshape(3, 4)
    arrays = {f"{kind}.weight": matrix.astype(kind) for kind in ("f2", "f4", "f8", ">f2", ">f4", ">f8")}
    arrays["fortran"] = np.asfortranarray(matrix.astype("f4"))
    arrays["fortran.cube"] = np.asfortranarray((np.arange(24) / 4).reshape(2, 3, 4).astype("f8"))
    arrays["scalar"] = np.float32(0.5)
    arrays["empty"] = np.zeros((0, 4), "f4")
    arrays["whole"] = np.arange(3)
    arrays["complex"] = np.ones(2, "c8")
    arrays["text"] = np.array(["a", "bc"])
    arrays["structured"] = np.ones(2, [("a", "f4"), ("b", "i4")])
    np.savez(OUT / "arrays.npz", **arrays)
    np.savez_compressed(OUT / "compressed.npz", **arrays)
    np.save(OUT / "array.npy", matrix.astype("f4"))
    np.save(OUT / "objects.npy", np.array([{}, None], object))
    np.savez(OUT / "objects.npz", a=np.array([{}], object), b=np.ones(1, "f4"))
    rng = np.random.default_rng(0)
    weights = {"rnn.weight_ih_l0": (12, 2), "rnn.weight_hh_l0": (12, 3), "rnn.bias_ih_l0": (12,), "rnn.bias_hh_l0": (12,)}
    np.savez(OUT / "lstm.npz", **{name: rng.standard_normal(shape).astype("f4") for name, shape in weights.items()})


if __name__ == "__main__":
    main()
