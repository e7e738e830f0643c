#!/usr/bin/env python3
"""Makes emoji.png, a sheet of emoji of 24 by 24 pixels, and emoji.txt, their English names in the same order.

    pip install pillow==13.0.0
    python3 make_caption_data.py [--packages DIR] [--out DIR]

DIR holds the npm packages named below, as `npm pack` writes them; without it npm fetches them. One name in ten is marked for the test.
"""
import argparse
import io
import json
import random
import subprocess
import tarfile
import tempfile
from pathlib import Path

from PIL import Image

DATA = Path(__file__).resolve().parent.parent / "examples" / "training" / "data" / "caption"
IMAGES = "emoji-datasource-twitter@16.0.0"
NAMES = {
    "cldr-annotations-full@48.2.0": "annotations",
    "cldr-annotations-derived-full@48.2.0": "annotationsDerived",
}
SIZE, COLUMNS = 24, 64
# Longer names are those of couples with two skin tones.
LONGEST = 48
TEST = 0.1


def opened(package, folder):
    path = Path(folder) / (package.replace("@", "-") + ".tgz")
    if not path.exists():
        subprocess.run(["npm", "pack", "--silent", package], cwd=folder, check=True)
    return tarfile.open(path)


def plain(emoji):
    """Without the sign that asks for colours, which some lists leave out."""
    return emoji.replace("\ufe0f", "")


def names(folder):
    found = {}
    for package, key in NAMES.items():
        with opened(package, folder) as archive:
            table = json.load(archive.extractfile(f"package/{key}/en/annotations.json"))[key]["annotations"]
        found.update({plain(emoji): entry["tts"][0] for emoji, entry in table.items() if "tts" in entry})
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--packages")
    parser.add_argument("--out", default=DATA, type=Path)
    arguments = parser.parse_args()
    folder = arguments.packages or tempfile.mkdtemp()
    known, pictures = names(folder), []
    with opened(IMAGES, folder) as archive:
        for member in sorted(archive.getnames()):
            if not member.startswith("package/img/twitter/64/"):
                continue
            name = known[plain("".join(chr(int(code, 16)) for code in Path(member).stem.split("-")))]
            # Curly quotation marks and accents would be letters that occur once.
            name = name.translate(str.maketrans("ÅãçéíñóôüЧ“”’", "AaceinoouC\"\"'"))
            if len(name) <= LONGEST:
                image = Image.open(io.BytesIO(archive.extractfile(member).read())).convert("RGBA")
                paper = Image.new("RGBA", image.size, "white")
                pictures.append((Image.alpha_composite(paper, image).convert("RGB"), name))
    sheet = Image.new("RGB", (COLUMNS * SIZE, -(-len(pictures) // COLUMNS) * SIZE), "white")
    for i, (image, _) in enumerate(pictures):
        sheet.paste(image.resize((SIZE, SIZE), Image.LANCZOS), (i % COLUMNS * SIZE, i // COLUMNS * SIZE))
    sheet.quantize(128, Image.Quantize.MEDIANCUT).save(arguments.out / "emoji.png", optimize=True)
    draw = random.Random(0)
    lines = [("test" if draw.random() < TEST else "train") + "\t" + name for _, name in pictures]
    (arguments.out / "emoji.txt").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    letters = sorted({letter for _, name in pictures for letter in name})
    print(len(pictures), "emoji,", sum(line.startswith("test") for line in lines), "for the test;", "".join(letters))


if __name__ == "__main__":
    main()
