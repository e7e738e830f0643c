#!/usr/bin/env python3
"""Makes examples/training/data/speech/speech.png and speech.tsv: spectrograms of words, spoken by espeak-ng.

    python3 make_speech_data.py [--out DIR]

Needs espeak-ng 1.51 (Debian's package `espeak-ng`) and NumPy. The spectrograms are those of the lesson's front end
(examples/training/common/data/mel.rs), in 16 levels; the sheet has tiles of 96 x 32, 16 a row, one for each line of speech.tsv.
"""
import argparse
import pathlib
import random
import struct
import subprocess
import tempfile
import wave
import zlib

import numpy as np

OUT = pathlib.Path(__file__).resolve().parent.parent / "examples/training/data/speech"
WORDS = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen
twenty thirty forty fifty sixty seventy eighty ninety hundred thousand monday tuesday wednesday thursday friday saturday sunday
january february march april may june july august september october november december black white red green blue yellow orange
purple brown silver golden mother father sister brother daughter uncle family baby woman people friend doctor teacher farmer
head hand finger shoulder mouth nose arm leg foot heart blood skin hair cat dog horse cow sheep bird fish mouse rabbit lion
tiger monkey elephant spider butter bread water milk coffee sugar salt apple banana lemon potato tomato chicken dinner supper
kitchen garden house window door table chair bottle paper letter pencil book school music picture camera radio telephone computer
number river mountain valley forest island ocean beach summer winter autumn morning evening night midnight today tomorrow
yesterday minute second hour week month year weather wind rain snow thunder fire smoke metal iron stone glass wooden cotton
market money dollar penny ticket station train bus aeroplane bicycle wagon village city street corner bridge castle
king queen prince soldier captain sailor hunter winner player open close begin finish listen speak answer question remember
forget travel carry follow wander deliver visit happy sad angry hungry tired clever simple little big long short narrow
heavy light early late fast slow never always often again under over after before between together left right north
south east west hello goodbye please thank welcome yes no stop go help lamp desk spoon fork plate basket button pocket
jacket shirt hat boot glove dream story poem river silence
""".split()
NEW = 50  # words that training never hears
LEARNED = [
    "en-us+m1", "en-us+m3", "en-us+m5", "en-us+m7", "en-us+f1", "en-us+f2", "en-us+f4", "en-gb+m2", "en-gb+m6", "en-gb+f2",
    "en-gb+Andy", "en-gb-x-rp+f1", "en-gb-scotland+m3", "en-us+klatt2", "en-us+Annie", "en-us+Michael",
]  # fmt: skip
HELD_OUT = ["en-us+m4", "en-us+f5", "en-gb+f3", "en-gb-x-rp+m8"]
VOICES = 9  # of those to be learned, for each word
KNOWN = 150  # words to be learned that the other voices say too
SEED = 1
FRAMES, BANDS, ACROSS = 96, 32, 16
RATE, WINDOW, HOP = 16000, 512, 200
LOWEST, HIGHEST, DECIBELS = 80.0, 7600.0, 60.0
QUIET, AROUND = 0.3, 4


def resampled(samples, rate):
    """At 16 kHz, by a windowed sinc."""
    taps, cutoff = 32, 0.94 * RATE / rate
    at = np.arange(int(len(samples) * RATE / rate)) * rate / RATE
    first = np.floor(at).astype(int)
    out = np.zeros(len(at))
    padded = np.pad(samples, taps + 1)
    for k in range(-taps + 1, taps + 1):
        distance = at - (first + k)
        window = 0.5 + 0.5 * np.cos(np.pi * np.clip(distance / taps, -1, 1))
        out += padded[first + k + taps + 1] * cutoff * np.sinc(cutoff * distance) * window
    return out


def filters():
    mel = lambda hertz: 2595 * np.log10(1 + hertz / 700)
    corners = 700 * (10 ** (np.linspace(mel(LOWEST), mel(HIGHEST), BANDS + 2) / 2595) - 1)
    frequency = np.arange(WINDOW // 2 + 1) * RATE / WINDOW
    low, middle, high = (corners[i : i + BANDS, None] for i in range(3))
    return np.maximum(0, np.minimum((frequency - low) / (middle - low), (high - frequency) / (high - middle)))


FILTERS = filters()


def spectrogram(samples):
    """[frames, bands] from 0 to 1."""
    count = 1 + max(0, len(samples) - WINDOW) // HOP
    samples = np.pad(samples, (0, max(0, WINDOW - len(samples))))
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    frames = np.stack([samples[i * HOP : i * HOP + WINDOW] for i in range(count)])
    power = np.abs(np.fft.rfft(frames * window)) ** 2 @ FILTERS.T
    level = 10 * np.log10(power + 1e-10)
    level = np.clip(1 + (level - level.max()) / DECIBELS, 0, 1)
    loud = np.flatnonzero(level.max(1) > QUIET)
    return level[max(0, loud[0] - AROUND) : loud[-1] + 1 + AROUND]


def spoken(word, voice, speed, pitch):
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        command = ["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch), "-w", file.name, word]
        subprocess.run(command, check=True)
        with wave.open(file.name) as sound:
            samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2") / 32768
            return resampled(samples, sound.getframerate())


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(levels):
    """A picture of 16 levels of grey."""
    rows, width = levels.shape
    packed = levels[:, 0::2] << 4 | levels[:, 1::2]
    lines = np.concatenate([np.zeros((rows, 1), np.uint8), packed], 1).tobytes()
    head = struct.pack(">IIBBBBB", width, rows, 4, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines, 9)) + chunk(b"IEND", b"")


def plan():
    """What is said by whom: part, word, voice, speed, pitch."""
    rng = random.Random(SEED)
    pick = lambda items, count: [item for _, item in sorted((rng.random(), item) for item in items)][:count]
    words = sorted(set(WORDS))
    new = set(pick(words, NEW))
    old = [word for word in words if word not in new]
    said = [("train", word, voice) for word in old for voice in pick(LEARNED, VOICES)]
    said += [("heard", word, voice) for word in sorted(pick(old, KNOWN)) for voice in HELD_OUT]
    said += [("new", word, voice) for word in sorted(new) for voice in HELD_OUT]
    return [(*what, 120 + int(70 * rng.random()), 25 + int(50 * rng.random())) for what in said]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", default=OUT, type=pathlib.Path)
    out = parser.parse_args().out
    said = plan()
    sheet = np.zeros((-(-len(said) // ACROSS) * BANDS, ACROSS * FRAMES), np.uint8)
    lines = []
    for i, (part, word, voice, speed, pitch) in enumerate(said):
        frames = spectrogram(spoken(word, voice, speed, pitch))
        while len(frames) > FRAMES:  # too slow for its tile
            speed += 10
            frames = spectrogram(spoken(word, voice, speed, pitch))
        top, left = i // ACROSS * BANDS, i % ACROSS * FRAMES
        # The lowest band at the bottom, as spectrograms are drawn.
        sheet[top : top + BANDS, left : left + len(frames)] = np.round(15 * frames).astype(np.uint8).T[::-1]
        lines.append(f"{part}\t{word}\t{voice}\t{len(frames)}\n")
    (out / "speech.tsv").write_text("".join(lines))
    (out / "speech.png").write_bytes(png(sheet))
    sizes = [(out / name).stat().st_size for name in ("speech.tsv", "speech.png")]
    parts = [sum(line.startswith(part) for line in lines) for part in ("train", "heard", "new")]
    frames = [int(line.split("\t")[3]) for line in lines]
    print(f"train, heard, new: {parts}; {len(set(WORDS))} words; frames {min(frames)} to {max(frames)}, mean {np.mean(frames):.0f}; bytes: {sizes}")


if __name__ == "__main__":
    main()
