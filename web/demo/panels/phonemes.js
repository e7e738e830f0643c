// English words, and how they sound.

import { byId, debounce, element, tell } from "../dom.js";
import { duration, plural, sentence } from "../format.js";

const MOST_WORDS = 200;
const MOST_LETTERS = 50;

const LEGEND = {
  AA: "odd",
  AE: "at",
  AH: "hut",
  AO: "ought",
  AW: "cow",
  AY: "hide",
  B: "be",
  CH: "cheese",
  D: "dee",
  DH: "thee",
  EH: "Ed",
  ER: "hurt",
  EY: "ate",
  F: "fee",
  G: "green",
  HH: "he",
  IH: "it",
  IY: "eat",
  JH: "gee",
  K: "key",
  L: "lee",
  M: "me",
  N: "knee",
  NG: "ping",
  OW: "oat",
  OY: "toy",
  P: "pee",
  R: "read",
  S: "sea",
  SH: "she",
  T: "tea",
  TH: "theta",
  UH: "hood",
  UW: "two",
  V: "vee",
  W: "we",
  Y: "yield",
  Z: "zee",
  ZH: "seizure",
};

export function phonemesPanel(devices) {
  const panel = byId("phonemes");
  const [words, button, status, table] = ["words", "run", "status", "table"].map((name) => byId(`phonemes-${name}`));
  /** Letters that the model knows. */
  let letters;
  /** What was asked for last: older answers are not shown. */
  let asked;

  byId("phonemes-legend").replaceChildren(
    ...Object.entries(LEGEND).map(([phoneme, word]) =>
      element("div", {}, element("dt", { textContent: phoneme }), element("dd", { textContent: word })),
    ),
  );

  function setState(state) {
    panel.dataset.state = state;
    devices.onBusy();
  }

  /** Words that can be pronounced, and what is to be said about the others. */
  function read() {
    // Marks around a word are no part of it.
    const all = words.value.split(/\s+/).map((word) => word.replace(/^[^\p{L}\p{N}]+|[^\p{L}\p{N}]+$/gu, ""));
    const some = all.filter(Boolean);
    const remarks = [];
    const left = (which, why) => which.length > 0 && remarks.push(`Left out: ${which.join(", ")} (${why}).`);
    const knows = (word) => [...word.toLowerCase()].filter((letter) => letters.has(letter));
    const strange = some.filter((word) => knows(word).length === 0);
    const long = some.filter((word) => [...word].length > MOST_LETTERS);
    let right = some.filter((word) => !strange.includes(word) && !long.includes(word));
    left(strange, "no letter from a to z");
    left(
      long.map((word) => `${word.slice(0, 12)}…`),
      `more than ${MOST_LETTERS} letters`,
    );
    const odd = right.filter((word) => knows(word).length < [...word.toLowerCase()].length);
    if (odd.length > 0)
      remarks.push(`Only a to z are known: other characters, in ${odd.join(", ")}, are read as an unknown letter.`);
    if (right.length > MOST_WORDS) {
      remarks.push(`Only the first ${MOST_WORDS} words are taken.`);
      right = right.slice(0, MOST_WORDS);
    }
    return { right, remarks };
  }

  async function run() {
    if (!devices.current) return;
    const turn = (asked = Symbol());
    try {
      if (!letters) {
        status.textContent = "Loading the model (3.3 MB)…";
        setState("busy");
        letters = new Set(await devices.call("letters"));
        if (turn !== asked) return;
      }
      const { right, remarks } = read();
      tell(words, remarks.join(" "));
      if (right.length === 0) {
        if (words.value.trim() === "") tell(words, "Write some words.");
        table.hidden = true;
        status.textContent = "";
        setState("idle");
        return;
      }
      setState("busy");
      status.textContent = "Pronouncing…";
      const { phonemes, seconds } = await devices.call("phonemes", { words: right });
      if (turn !== asked) return;
      fill(right, phonemes);
      status.textContent = `${plural(right.length, "word")} in ${duration(seconds)}`;
      setState("done");
    } catch (error) {
      if (turn !== asked) return;
      tell(words, sentence(error.message));
      status.textContent = "";
      setState("failed");
    }
  }

  function fill(right, phonemes) {
    const rows = right.map((word, at) =>
      element(
        "tr",
        { dataset: { word, phonemes: phonemes[at] } },
        element("th", { scope: "row", textContent: word }),
        element("td", {}, ...spelt(phonemes[at])),
      ),
    );
    table.tBodies[0].replaceChildren(...rows);
    table.hidden = false;
  }

  /** Phonemes, vowels with the main stress in bold. */
  function spelt(text) {
    const parts = text.split(" ").map((phoneme) => {
      const tag = phoneme.endsWith("1") ? "b" : "span";
      return element(tag, {
        className: "phoneme",
        textContent: phoneme,
        title: LEGEND[phoneme.replace(/\d/, "")] ?? "",
      });
    });
    return parts.flatMap((part) => [part, " "]);
  }

  words.addEventListener("input", debounce(350, run));
  byId("phonemes-form").addEventListener("submit", (event) => {
    event.preventDefault();
    run();
  });

  return {
    busy: () => panel.dataset.state === "busy",
    shown() {
      if (devices.current && panel.dataset.state === "idle") run();
    },
    lost() {
      button.disabled = true;
      asked = undefined;
      status.textContent = "";
      setState("idle");
    },
    opened() {
      button.disabled = false;
      asked = undefined;
      setState("idle");
      if (!panel.hidden) run();
    },
  };
}
