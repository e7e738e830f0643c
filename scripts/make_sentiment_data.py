#!/usr/bin/env python3
"""Makes examples/training/data/sentiment/train.tsv and test.tsv (label, text) from the film review sentences and human
ratings in
the PyPI source package `vaderSentiment` 3.3.2.

    python3 make_sentiment_data.py [ARCHIVE] [--out DIR]

ARCHIVE is vaderSentiment-3.3.2.tar.gz; without it pip downloads it. Standard library only.
"""
import argparse, html, io, pathlib, random, re, subprocess, sys, tarfile, tempfile

HERE = pathlib.Path(__file__).resolve().parent.parent / "examples" / "training" / "data" / "sentiment"
PACKAGE = "vaderSentiment==3.3.2"
INNER = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
MEMBER = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"
TEST, SEED = 1171, 1
# The mean of at least 20 people's ratings runs from -4 to 4; what they found lukewarm is left out.
CLEAR = 1.0


def archive(given):
    if given:
        return pathlib.Path(given)
    d = tempfile.mkdtemp()
    subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps",
                    "--no-binary", ":all:", "-d", d, PACKAGE], check=True)
    return next(pathlib.Path(d).glob("vaderSentiment-*.tar.gz"))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("archive", nargs="?")
    p.add_argument("--out", default=HERE)
    a = p.parse_args()
    with tarfile.open(archive(a.archive)) as outer:
        inner = outer.extractfile(INNER).read()
    with tarfile.open(fileobj=io.BytesIO(inner)) as t:
        lines = t.extractfile(MEMBER).read().decode("utf-8").split("\n")
    items, seen = [], set()
    for line in lines:
        if not line.strip():
            continue
        _, rating, text = line.rstrip("\r").split("\t")
        text = re.sub(r"\s+", " ", html.unescape(text).replace("''", chr(34))).strip()
        key = re.sub(r"[^a-z0-9]", "", text.lower())
        if abs(float(rating)) >= CLEAR and key and key not in seen:
            seen.add(key)
            items.append((text, "positive" if float(rating) > 0 else "negative"))
    items.sort()
    # Split and order do not depend on the Python version: random() is stable, shuffle() may not be.
    rng = random.Random(SEED)
    items = [x for _, x in sorted((rng.random(), x) for x in items)]
    for name, part in (("test.tsv", items[:TEST]), ("train.tsv", items[TEST:])):
        out = pathlib.Path(a.out) / name
        out.write_bytes("".join(f"{y}\t{x}\n" for x, y in part).encode("utf-8"))
        n = sorted(len(x.split()) for x, _ in part)
        print(name, len(part), "items,", sum(y == "positive" for _, y in part), "positive; words",
              n[0], "to", n[-1], "median", n[len(n) // 2], ";", out.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
