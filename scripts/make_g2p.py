"""Makes the grapheme-to-phoneme example's weights and its test words.

From the PyPI package g2p-en 2.1.0 (a GRU encoder and a GRU decoder, run there
in NumPy) this writes

    examples/g2p/g2p_en.safetensors              the weights, renamed
    examples/g2p/LICENCE.md                      where they are from
    examples/g2p/LICENSE-APACHE-g2p-en.txt       the package's licence
    tests/fixtures/g2p_words.tsv                 words and their phonemes

Run it with

    python3 scripts/make_g2p.py                  fetches the package with pip
    python3 scripts/make_g2p.py --wheel FILE     uses a wheel already here

The words are those of the committed tsv. `--words FILE` (one word a line, such
as /usr/share/dict/american-english of Debian's `wamerican`) draws them anew.
Needs numpy; see scripts/requirements.txt.
"""

import argparse
import random
import string
import sys
import tempfile
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
from packages import unpack_wheel, write_safetensors

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "g2p"
TSV = ROOT / "tests" / "fixtures" / "g2p_words.tsv"

PACKAGE = "g2p-en==2.1.0"
WHEEL_SHA256 = "2a7aabf1fc7f270fcc3349881407988c9245173c2413debbe5432f4a4f31319f"

START, STOP = 2, 3  # of the phonemes: <s>, </s>
MAX_PHONEMES = 20
LETTERS = set(string.ascii_lowercase)
SEED = 20  # of the sample of words
MIN_MARGIN = 1e-4  # words decided by less than this are not kept

NAMES = {
    "encoder_embedding.weight": "enc_emb",
    "encoder.weight_ih_l0": "enc_w_ih",
    "encoder.weight_hh_l0": "enc_w_hh",
    "encoder.bias_ih_l0": "enc_b_ih",
    "encoder.bias_hh_l0": "enc_b_hh",
    "decoder_embedding.weight": "dec_emb",
    "decoder.weight_ih_l0": "dec_w_ih",
    "decoder.weight_hh_l0": "dec_w_hh",
    "decoder.bias_ih_l0": "dec_b_ih",
    "decoder.bias_hh_l0": "dec_b_hh",
    "head.weight": "fc_w",
    "head.bias": "fc_b",
}

LICENCE = """\
# The weights in `g2p_en.safetensors`

They are from the Python package
[g2p-en](https://pypi.org/project/g2p-en/) 2.1.0, by Kyubyong Park and Jongseok
Kim (<https://github.com/Kyubyong/g2p>), under the Apache License 2.0.

Changed: the arrays of the package's `checkpoint20.npz` were put into one
safetensors file under PyTorch's parameter names, together with the package's
two symbol tables. The values are as they were.

`scripts/make_g2p.py` does this. The licence, as the package gives it, is in
[LICENSE-APACHE-g2p-en.txt](LICENSE-APACHE-g2p-en.txt).
"""

HEADER = """\
# Words, and the phonemes that g2p-en 2.1.0's network gives for them.
# Made by scripts/make_g2p.py: word, tab, phonemes; an empty second field means none.
# Letters outside a-z are <unk> to the network; decoding stops after 20 phonemes.
# float32, float64 and the package's own code agree on all of them. Of {candidates}
# candidates, {dropped} were dropped: a step decided by less than {margin:g} between the two
# best logits, or float32 and float64 apart. The closest of the rest: {least:.2g}.
# Most words are a seeded sample of SCOWL (Debian wamerican):
#   Copyright 2000-2011 by Kevin Atkinson. Permission to use, copy, modify,
#   distribute and sell these word lists, the associated scripts, the output created
#   from the scripts, and its documentation for any purpose is hereby granted without
#   fee, provided that the above copyright notice appears in all copies and that both
#   that copyright notice and this permission notice appear in supporting
#   documentation. Kevin Atkinson makes no representations about the suitability of
#   this array for any purpose. It is provided "as is" without express or implied
#   warranty.
# The rest, and those longer than 23 letters, were made up for this file.
"""

INVENTED = """
activationist wgpu xyzzy blorptastic quuxify frobnicate zzyzx plugh kubernetify
grumblewick snorfle thwackening phthisicky rhythmless qwerty asdf zxcvb aaaa eeee
bcdfg strngth splorch glyphomancer nnnnnnnn xxxxxxxxxxxx tokenizable vulkanize
shaderade unbatchable recurrentish metalhead backpropagator wgsl lstm gru rnn
cafetorium spoonerize jabberwockian brillig slithy toves mimsy borogoves
pneumonoultramicroscopicsilicovolcanoconiosis
supercalifragilisticexpialidocious
pseudopseudohypoparathyroidism
hippopotomonstrosesquippedaliophobia
floccinaucinihilipilificationistically
antidisestablishmentarianismlessness
honorificabilitudinitatibusnesses
counterrevolutionarilyunbelievableness
hyperparathyroidectomizationalistic
subdermatoglyphicuncopyrightableness
electroencephalographicallymeasured
thermodynamicallyincompatiblesolutions
misinterpretabilitynessunderstandings
otorhinolaryngologicallyspeakingpersons
abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrs
zyxwvutsrqponmlkjihgfedcbazyxwvutsr
aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
bananabananabananabananabananabanana
ghoughghoughghoughghoughghoughghough
mississippimississippimississippi
""".split()

ODD = """
' '' '' - -- . 7 42 1st 2nd 3d mp3 b2b r2d2 wgpu-rs gru-cell x-ray e-mail
rock'n'roll o'clock 'tis 'twas y'all ma'am fo'c's'le d'oh i'd'nt've
naïve ça œuvre ßtraße ñandú þorn ðat łódź čaj žába ångström smörgåsbord æther
мир слово λόγος 日本 日本語 한국어 שלום नमस्ते a·b a_b a/b a+b c++ é 🙂 🙂🙂 ok🙂
semi-detached twenty-one up-to-date mother-in-law
""".split()


def load_package(folder):
    """The package's G2p, without what its import needs for whole sentences."""
    for name in ("nltk", "nltk.corpus", "nltk.tokenize", "inflect"):
        sys.modules.setdefault(name, MagicMock())
    sys.path.insert(0, folder)
    sys.dont_write_bytecode = True
    from g2p_en.g2p import G2p

    return G2p()


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gru_step(weights, name, x, h):
    """One GRU step: gates r, z, n, the reset gate after the product."""
    a = weights[f"{name}.weight_ih_l0"] @ x + weights[f"{name}.bias_ih_l0"]
    b = weights[f"{name}.weight_hh_l0"] @ h + weights[f"{name}.bias_hh_l0"]
    (ar, az, an), (br, bz, bn) = np.split(a, 3), np.split(b, 3)
    r, z = sigmoid(ar + br), sigmoid(az + bz)
    n = np.tanh(an + r * bn)
    return (1 - z) * n + z * h


def decode(weights, letters):
    """The phonemes' indices, and the smallest lead of a chosen logit over the next."""
    h = np.zeros_like(weights["encoder.bias_hh_l0"][: weights["encoder.weight_hh_l0"].shape[1]])
    for letter in letters:
        h = gru_step(weights, "encoder", weights["encoder_embedding.weight"][letter], h)
    phonemes, margin, last = [], np.inf, START
    while len(phonemes) < MAX_PHONEMES:
        h = gru_step(weights, "decoder", weights["decoder_embedding.weight"][last], h)
        logits = weights["head.weight"] @ h + weights["head.bias"]
        second, best = np.partition(logits, -2)[-2:]
        margin, last = min(margin, best - second), int(logits.argmax())
        if last == STOP:
            break
        phonemes.append(last)
    return phonemes, margin


def draw_words(path):
    """A seeded sample of a word list, and the words made up above."""
    listed = sorted(set(Path(path).read_text(encoding="utf-8").split()))
    listed = [w for w in listed if w == w.lower()]
    plain = [w for w in listed if set(w) <= LETTERS]
    other = [w for w in listed if not set(w) <= LETTERS]
    rng = random.Random(SEED)
    words = LETTERS | set(INVENTED) | set(ODD)
    words |= {w for w in plain if len(w) >= 20}
    words |= set(rng.sample([w for w in plain if len(w) < 5], 150))
    words |= set(rng.sample([w for w in plain if 5 <= len(w) < 15], 1250))
    words |= set(rng.sample([w for w in plain if 15 <= len(w) < 20], 150))
    words |= set(rng.sample(other, 40))
    return sorted(words)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--wheel", type=Path, help="a g2p-en 2.1.0 wheel, instead of fetching it")
    parser.add_argument("--words", help="draw the test words anew from this list")
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        unpack_wheel(PACKAGE, WHEEL_SHA256, args.wheel, folder)
        checkpoint = dict(np.load(Path(folder) / "g2p_en" / "checkpoint20.npz"))
        licence = (Path(folder) / "g2p_en-2.1.0.dist-info" / "LICENSE.txt").read_bytes()
        package = load_package(folder)

    weights = {ours: checkpoint[theirs] for ours, theirs in NAMES.items()}
    assert all(w.dtype == np.float32 for w in weights.values())
    EXAMPLE.mkdir(parents=True, exist_ok=True)
    metadata = {
        "graphemes": " ".join(package.graphemes),
        "phonemes": " ".join(package.phonemes),
        "source": "g2p-en 2.1.0, Kyubyong Park and Jongseok Kim, https://github.com/Kyubyong/g2p",
        "licence": "Apache-2.0",
    }
    write_safetensors(EXAMPLE / "g2p_en.safetensors", weights, metadata)
    (EXAMPLE / "LICENCE.md").write_text(LICENCE)
    (EXAMPLE / "LICENSE-APACHE-g2p-en.txt").write_bytes(licence)

    if args.words or not TSV.exists():
        words, header = draw_words(args.words or "/usr/share/dict/american-english"), None
    else:
        lines = TSV.read_text(encoding="utf-8").splitlines(keepends=True)
        words = [line.split("\t")[0] for line in lines if not line.startswith("#")]
        header = "".join(line for line in lines if line.startswith("#"))

    graphemes = {g: i for i, g in enumerate(package.graphemes)}
    doubles = {name: w.astype(np.float64) for name, w in weights.items()}
    rows, margins, unequal = [], {}, []
    for word in words:
        letters = [graphemes.get(c, graphemes["<unk>"]) for c in word] + [graphemes["</s>"]]
        (single, _), (double, margins[word]) = decode(weights, letters), decode(doubles, letters)
        names = [package.phonemes[i] for i in single]
        assert names == package.predict(word), f"{word}: the package says otherwise"
        if single != double:
            unequal.append(word)
        if single == double and margins[word] >= MIN_MARGIN:
            rows.append((word, names))
    kept = {word: margins[word] for word, _ in rows}
    dropped = [w for w in words if w not in kept]
    header = header or HEADER.format(
        candidates=len(words), dropped=len(dropped), margin=MIN_MARGIN, least=min(kept.values())
    )
    TSV.parent.mkdir(parents=True, exist_ok=True)
    TSV.write_text(header + "".join(f"{w}\t{' '.join(p)}\n" for w, p in rows), encoding="utf-8")

    def closest(of):
        return ", ".join(f"{m:.2e} ({w})" for w, m in sorted(of.items(), key=lambda item: item[1])[:5])

    print(f"{len(words)} words, as the package has them; dropped {len(dropped)}: {dropped}")
    print(f"float32 and float64 apart: {unequal}")
    print(f"smallest margins: {closest(margins)}")
    print(f"smallest margins kept: {closest(kept)}")
    print(f"at {MAX_PHONEMES} phonemes: {sum(len(p) == MAX_PHONEMES for _, p in rows)}; none: {[w for w, p in rows if not p]}")


if __name__ == "__main__":
    main()
