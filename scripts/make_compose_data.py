#!/usr/bin/env python3
"""Makes train.tsv and test.tsv from the Bach chorales in the corpus of the PyPI package `music21` 10.5.1.

    pip install music21==10.5.1
    python3 make_compose_data.py [--out DIR]

A line is a chorale: its name, sixteenths to the first bar line, then soprano, alto, tenor and bass, separated by tabs. A voice is
a list of notes "PITCH/LENGTH": a MIDI number, or r for a rest, and sixteenths.
"""
import argparse, pathlib, warnings

warnings.filterwarnings("ignore")
import music21
from music21 import converter, corpus

DATA = pathlib.Path(__file__).resolve().parent.parent / "examples" / "training" / "data" / "compose"
VERSION = "10.5.1"
# What the voices of chorales sing, in MIDI numbers.
RANGES = [(57, 81), (50, 76), (45, 71), (33, 65)]
# One in so many groups of chorales is held out.
EVERY = 10


class Unfit(Exception):
    pass


def voice(part, low, high):
    """A part's notes: (pitch or None, sixteenths)."""
    notes, end = [], 0
    for element in part.flatten().stripTies().notesAndRests:
        if element.duration.isGrace:
            continue
        begin, length = float(element.offset) * 4, float(element.quarterLength) * 4
        if begin != int(begin) or length != int(length):
            raise Unfit("notes between sixteenths")
        if begin < end:
            raise Unfit("two notes at once")
        if begin > end:
            notes.append((None, int(begin) - end))
        pitch = None if element.isRest else max(p.midi for p in element.pitches)
        if pitch is not None and not low <= pitch <= high:
            raise Unfit("a voice out of its range")
        if pitch is None and notes and notes[-1][0] is None:
            notes[-1] = (None, notes[-1][1] + int(length))
        else:
            notes.append((pitch, int(length)))
        end = int(begin + length)
    return notes


def chorale(path):
    score = converter.parse(path)
    parts = score.parts
    if len(parts) != 4:
        raise Unfit("not four parts")
    times = {t.ratioString for t in score.flatten().getElementsByClass("TimeSignature")}
    if times != {"4/4"}:
        raise Unfit("not in 4/4 throughout")
    first = parts[0].getElementsByClass("Measure")[0]
    upbeat = int(float(first.duration.quarterLength) * 4) % 16
    voices = [voice(part, *limits) for part, limits in zip(parts, RANGES)]
    lengths = [sum(length for _, length in notes) for notes in voices]
    longest = max(lengths)
    for notes, length in zip(voices, lengths):
        if length < longest:
            notes.append((None, longest - length))
    if not 64 <= longest <= 640:
        raise Unfit("shorter than 4 bars, or longer than 40")
    if sum(length for notes in voices for pitch, length in notes if pitch is None) > 0.05 * 4 * longest:
        raise Unfit("rests")
    return upbeat, voices


def tune(voices):
    """How the soprano begins, in any key: several chorales set the same hymn."""
    pitches = [pitch for pitch, _ in voices[0] if pitch is not None][:9]
    return tuple(b - a for a, b in zip(pitches, pitches[1:]))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--out", default=DATA)
    a = p.parse_args()
    assert music21.__version__ == VERSION, music21.__version__
    folder = pathlib.Path(corpus.__file__).parent / "bach"
    groups, why, seen = {}, {}, set()
    # The three files of the humdrum project (.krn) are copies whose encoders reserve rights.
    for path in sorted(path for path in folder.iterdir() if path.suffix in (".mxl", ".xml")):
        try:
            upbeat, voices = chorale(path)
            lines = "\t".join(" ".join(f"{'r' if pitch is None else pitch}/{length}" for pitch, length in notes) for notes in voices)
            if lines in seen:
                raise Unfit("a copy of another")
            seen.add(lines)
            groups.setdefault(tune(voices), []).append(f"{path.stem}\t{upbeat}\t{lines}\n")
        except Unfit as unfit:
            why[str(unfit)] = why.get(str(unfit), 0) + 1
    out = pathlib.Path(a.out)
    out.mkdir(parents=True, exist_ok=True)
    # Settings of one hymn are on the same side.
    order = sorted(groups)
    for name, chosen in (("test.tsv", order[::EVERY]), ("train.tsv", [t for i, t in enumerate(order) if i % EVERY])):
        lines = sorted(line for key in chosen for line in groups[key])
        (out / name).write_text("".join(lines), encoding="ascii", newline="\n")
        print(name, len(lines), "chorales of", len(chosen), "hymns,", (out / name).stat().st_size, "bytes")
    print("left out:", why)


if __name__ == "__main__":
    main()
