// Small things that all panels do with the page.

export const byId = (id) => document.getElementById(id);

/** An element with properties, `data-` attributes under `dataset`, and children. */
export function element(tag, { dataset, ...properties } = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  Object.assign(made.dataset, dataset);
  made.append(...children);
  return made;
}

/** Says what is wrong with a control, below it; an empty message takes that back. */
export function tell(control, message = "") {
  const place = byId(`${control.id}-error`);
  if (place.textContent !== message) place.textContent = message;
  if (message) control.setAttribute("aria-invalid", "true");
  else control.removeAttribute("aria-invalid");
}

/** A control's number, or undefined, said below it, where that is none within its bounds. */
export function numberOf(control) {
  const [value, min, max] = [control.valueAsNumber, Number(control.min), Number(control.max)];
  const isWhole = control.step === "any" || Number.isInteger(value);
  const right = value >= min && value <= max && isWhole;
  const bounds = `from ${min.toLocaleString("en-GB", { maximumFractionDigits: 6 })} to ${max.toLocaleString("en-GB")}`;
  tell(control, right ? "" : `${control.step === "any" ? "A number" : "A whole number"} ${bounds}`);
  return right ? value : undefined;
}

/** Shows a number in its element, and the exact one in data-value. */
export function show(place, text, value) {
  place.textContent = text;
  if (value === undefined) delete place.dataset.value;
  else place.dataset.value = value;
}

const left = new Map();

/** Enables a control or not. What had the focus when it went has it again afterwards: keys go on where they were. */
export function enable(control, is) {
  const { activeElement, body } = document;
  if (!is && control.contains(activeElement)) left.set(control, activeElement);
  control.disabled = !is;
  if (!is) return;
  if (activeElement === body) left.get(control)?.focus({ preventScroll: true });
  left.delete(control);
}

/** Calls a function once things have been quiet for a while, unless `cancel` is called before. */
export function debounce(milliseconds, work) {
  let timer;
  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(work, milliseconds);
  };
  later.cancel = () => clearTimeout(timer);
  return later;
}

/** Gives the user a file. */
export function download(bytes, name) {
  const url = URL.createObjectURL(new Blob([bytes], { type: "application/octet-stream" }));
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** Files dropped on an element are taken as if they had been chosen. */
export function onDrop(place, take) {
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  const over = (is) => place.classList.toggle("dropping", is);
  place.addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    over(true);
  });
  place.addEventListener("dragleave", () => over(false));
  place.addEventListener("drop", (event) => {
    over(false);
    if (!hasFiles(event)) return;
    event.preventDefault();
    const [file] = event.dataTransfer.files;
    if (file) take(file);
  });
}

/** What this tab keeps over a reload; other tabs have their own. */
export const kept = {
  get(key) {
    try {
      return JSON.parse(sessionStorage.getItem(`wgrnn.${key}`)) ?? undefined;
    } catch {
      return undefined;
    }
  },
  set(key, value) {
    try {
      sessionStorage.setItem(`wgrnn.${key}`, JSON.stringify(value));
    } catch {
      // Private windows and full storage: then a reload begins anew.
    }
  },
};
