// The text that the train panel learns from: the sample, what is in the box, or a file.

import { debounce, numberOf, onDrop, tell } from "../dom.js";
import { bytes, count, plural, sentence } from "../format.js";
import { needed } from "../text.js";

/** A text longer than this is not put into the box: some browsers crawl then. */
const MOST_IN_BOX = 1_000_000;
/** What is beyond this is left out: 20 million numbers are 80 MB. */
const MOST_CHARACTERS = 20_000_000;
const LARGE = 5_000_000;
/** This many different characters make scores that are large and slow. */
const MANY_DIFFERENT = 2_000;

/** The controls of the text. `onChange` is called when another text is chosen. */
export function trainingText(devices, control, { isShown, onChange }) {
  /** The text at hand: { name, text, characters, different }. */
  let source;
  let sampleText;
  let ownFile;
  /** The text that the worker has, and the choice that the model learns from. */
  let sent;
  let learnt;

  const ownChosen = () => control("text-own").checked;

  async function fetchSample() {
    const response = await fetch(new URL("../../models/text.txt", import.meta.url)).catch(() => undefined);
    if (!response?.ok) throw new Error("The sample could not be fetched: take a text of your own");
    return { name: "Three plays of Shakespeare", text: await response.text() };
  }

  async function textAtHand() {
    if (ownChosen()) return ownFile ?? { name: "Your text", text: control("text").value };
    sampleText ??= await fetchSample();
    return sampleText;
  }

  /** Gives the worker the text, if it has another one; whether there is one to learn for a network, else the controls'. */
  async function read(network) {
    // The text is read now: read again later, it would take back what is said about it.
    changed.cancel();
    const problem = control("text");
    try {
      const at = await textAtHand();
      if (at.text.trim() === "") {
        control("text-summary").textContent = "";
        tell(problem, "There is no text yet: paste one, or open a file");
        return false;
      }
      if (sent !== at.text) {
        const bound = at.text.length > MOST_CHARACTERS ? at.text.slice(0, MOST_CHARACTERS) : at.text;
        source = { name: at.name, ...(await devices.call("text", { text: bound })) };
        source.cut = bound.length < at.text.length;
        sent = at.text;
      }
      summarise();
      return checkLength(network);
    } catch (error) {
      tell(problem, sentence(error.message));
      return false;
    }
  }

  function summarise() {
    const { characters, different, cut } = source;
    const parts = [`${plural(characters, "character")}, ${count(different)} different; the last tenth is held out.`];
    if (cut) parts.push(`Only the first ${count(MOST_CHARACTERS)} are used.`);
    else if (characters > LARGE) parts.push("A large text: reading it takes a moment.");
    if (different > MANY_DIFFERENT) parts.push("So many different characters make steps slow.");
    control("text-summary").textContent = parts.join(" ");
  }

  function checkLength(network) {
    const { batch, length } = network ?? { batch: numberOf(control("batch")), length: numberOf(control("length")) };
    if (batch === undefined || length === undefined || !source) return false;
    const least = needed(batch, length);
    const short = source.characters < least;
    const need = `${count(batch)} streams of ${count(length)} need ${count(least)}`;
    tell(
      control("text"),
      short
        ? `Too short: ${plural(source.characters, "character")}, where ${need}. Take a smaller batch or length.`
        : "",
    );
    return !short;
  }

  async function takeFile(file) {
    if (file.size > 4 * MOST_CHARACTERS) {
      tell(
        control("text"),
        `${file.name} has ${bytes(file.size)}: more than ${bytes(4 * MOST_CHARACTERS)} is too much for a page`,
      );
      return;
    }
    let text;
    try {
      text = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
    } catch {
      tell(control("text"), `${file.name} is no text in UTF-8`);
      return;
    }
    control("text-own").checked = true;
    const fits = text.length <= MOST_IN_BOX;
    ownFile = fits ? undefined : { name: file.name, text };
    if (fits) control("text").value = text;
    show();
  }

  function show() {
    control("own").hidden = !ownChosen();
    control("text").hidden = ownFile !== undefined;
    control("text-remove").hidden = !ownFile;
    control("text-remove").textContent = ownFile ? `Remove ${ownFile.name}` : "";
    onChange();
    if (ownChosen() && !ownFile && control("text").value === "") {
      tell(control("text"));
      control("text-summary").textContent = "";
    } else if (devices.current && isShown()) {
      read();
    }
  }

  for (const name of ["text-sample", "text-own"]) control(name).addEventListener("change", show);
  const changed = debounce(400, () => show());
  control("text").addEventListener("input", changed);
  control("text-file").addEventListener("change", async ({ target }) => {
    const [file] = target.files;
    // So that the same file can be chosen again.
    target.value = "";
    if (file) await takeFile(file);
  });
  control("text-remove").addEventListener("click", () => {
    ownFile = undefined;
    show();
    control("text").focus();
  });
  onDrop(control("text-fields"), (file) => !control("text-fields").disabled && takeFile(file));

  return {
    read,
    checkLength,
    show,
    isOwn: ownChosen,
    /** What is chosen, for `restore`: { own }, and of an own text { name, text }. */
    atHand: () => (ownChosen() ? { own: true, ...(ownFile ?? { name: "", text: control("text").value }) } : { own: false }),
    /** The model learns from what is chosen now. */
    learn() {
      learnt = this.atHand();
    },
    /** Whether something else was chosen since. */
    differs() {
      const { own, text } = this.atHand();
      return learnt !== undefined && (own !== learnt.own || text !== learnt.text);
    },
    restore({ own, name, text = "" }) {
      control(own ? "text-own" : "text-sample").checked = true;
      if (own) {
        ownFile = text.length > MOST_IN_BOX ? { name: name || "Your text", text } : undefined;
        if (!ownFile) control("text").value = text;
      }
      this.learn();
      show();
    },
    /** What is in the box, unless it is too long to be kept. */
    typed() {
      const own = control("text").value;
      return own.length <= MOST_IN_BOX ? own : "";
    },
    /** After the worker with the text is gone. */
    forget() {
      sent = undefined;
      source = undefined;
    },
  };
}
