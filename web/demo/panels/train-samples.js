// What the character model writes: the newest text on top, as it grows.

import { element } from "../dom.js";
import { count, fixed } from "../format.js";

const MOST_SAMPLES = 30;

/** `onWhole` is called with each text once it is written to its end, the prompt included. */
export function trainingSamples(list, { onWhole }) {
  /** The one that is being written. */
  let current;

  const head = ({ step, bits }) =>
    [`Step ${count(step)}`, ...(bits === undefined ? [] : [`${fixed(bits, 2)} bits per character`])].join(", ");

  function item(title, step) {
    const body = element("p", { className: "sample", dataset: { testid: "sample", step } });
    return element("li", {}, element("h4", { textContent: title }), body);
  }

  const write = (place, prompt, text) =>
    place.querySelector(".sample").replaceChildren(...(prompt ? [element("b", { textContent: prompt })] : []), text);

  return {
    show(sample) {
      if (!current) {
        current = item(head(sample), sample.step);
        current.classList.add("writing");
        list.prepend(current);
        while (list.children.length > MOST_SAMPLES) list.lastChild.remove();
      }
      write(current, sample.prompt, sample.text);
      if (!sample.done) return;
      current.classList.remove("writing");
      current = undefined;
      onWhole(sample.prompt + sample.text);
    },
    /** The one that is being written stays as it is. */
    end() {
      current?.classList.remove("writing");
      current = undefined;
    },
    /** As plain values, of which `restore` makes the same list again. */
    all: () =>
      [...list.children].map((each) => {
        const body = each.querySelector(".sample");
        const prompt = body.querySelector("b")?.textContent ?? "";
        const step = Number(body.dataset.step);
        return { title: each.querySelector("h4").textContent, step, prompt, text: body.textContent.slice(prompt.length) };
      }),
    restore(samples = []) {
      current = undefined;
      const items = samples.map(({ title, step, prompt, text }) => {
        const made = item(title, step);
        write(made, prompt, text);
        return made;
      });
      list.replaceChildren(...items);
    },
    /** The newest whole text; undefined where there is none. */
    newest: () => list.querySelector("li:not(.writing) .sample")?.textContent,
  };
}
