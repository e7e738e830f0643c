// The settings of the character model: what they ask for, and that a reload brings them back.

import { CELLS, cellOf } from "../checkpoint.js";
import { element, kept, numberOf, tell } from "../dom.js";

const ALL = ["cell", "hidden", "layers", "batch", "length", "rate", "every", "prompt", "temperature"];
/** Those that make another network. */
export const NETWORK = ["cell", "hidden", "layers", "batch", "length"];
const NUMBERS = ["hidden", "layers", "batch", "length", "rate"];

export function trainingSettings(control) {
  const cells = Object.entries(CELLS).map(([value, textContent]) => element("option", { value, textContent }));
  control("cell").replaceChildren(...cells);

  return {
    /** What the controls ask for, or undefined, said below them, where one of them is wrong. */
    network() {
      const [hidden, layers, batch, length, learningRate] = NUMBERS.map((name) => numberOf(control(name)));
      if ([hidden, layers, batch, length, learningRate].includes(undefined)) {
        control("network").open = true;
        return undefined;
      }
      return { cell: control("cell").value, hidden, layers, batch, length, dropout: 0, learningRate };
    },
    /** Whether they ask for another network than this one. */
    differFrom: (description) => NETWORK.some((name) => control(name).value !== String(description[name])),
    showNetwork(description) {
      for (const name of NETWORK) {
        control(name).value = description[name];
        if (name !== "cell") tell(control(name));
      }
    },
    cellName: () => control("cell").selectedOptions[0].text,
    keep(text) {
      const values = Object.fromEntries(ALL.map((name) => [name, control(name).value]));
      kept.set("train", { ...values, own: text.typed(), ownChosen: text.isOwn() });
    },
    restore() {
      const values = kept.get("train");
      if (!values) return;
      for (const name of ALL) if (values[name] !== undefined) control(name).value = values[name];
      control("cell").value = cellOf(values.cell) ?? Object.keys(CELLS)[0];
      control("text").value = values.own ?? "";
      control("text-own").checked = values.ownChosen ?? false;
    },
  };
}
