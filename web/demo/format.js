// Numbers as people read them.

const whole = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 0 });

export const count = (number) => whole.format(number);

export const fixed = (number, digits) =>
  number.toLocaleString("en-GB", { minimumFractionDigits: digits, maximumFractionDigits: digits }).replace("-", "−");

export const plural = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

/** 1.2 × 10⁻⁷ */
export function scientific(number) {
  if (number === 0) return "0";
  if (!Number.isFinite(number)) return Number.isNaN(number) ? "not a number" : "infinite";
  const [mantissa, exponent] = number.toExponential(1).split("e");
  const raised = [...String(Number(exponent))].map((sign) => (sign === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[sign])).join("");
  return `${mantissa} × 10${raised}`;
}

/** Three significant digits and no more than are there: 38.2, 1,250, 0.041. */
export const rounded = (number) =>
  number >= 1000 ? count(number) : number.toLocaleString("en-GB", { maximumSignificantDigits: 3 });

/** A length of time in the units that suit it. */
export function duration(seconds) {
  if (seconds < 1) return `${count(Math.round(seconds * 1000))} ms`;
  if (seconds < 60) return `${fixed(seconds, seconds < 10 ? 1 : 0)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  return `${count(Math.floor(minutes / 60))} h ${minutes % 60} min`;
}

/** With a capital and a full stop, as the library's errors come without; an address has none after it. */
export function sentence(text) {
  const ended = /[.!?]$|:\/\/\S+$/.test(text) ? text : `${text}.`;
  return ended[0].toUpperCase() + ended.slice(1);
}

export function bytes(number) {
  if (number < 1000) return plural(number, "byte");
  return number < 1e6 ? `${rounded(number / 1e3)} kB` : `${rounded(number / 1e6)} MB`;
}
