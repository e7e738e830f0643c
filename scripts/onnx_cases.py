"""Tests in the layout of ONNX's backend tests, as folders or as one archive."""

import gzip
import io
import tarfile


def write(to, files):
    """Writes files, by their paths, below a folder or into a .tar.gz that is the same for the same files."""
    if to.suffix != ".gz":
        for name, data in files.items():
            path = to / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return
    with open(to, "wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as packed:
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for name, data in files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
