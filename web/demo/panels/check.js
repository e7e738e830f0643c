// The doctor's table, as it fills.

import { byId, element, show } from "../dom.js";
import { bytes, count, duration, plural, scientific, sentence } from "../format.js";

const COLUMNS = [
  ["name", "Name"],
  ["cases", "Cases"],
  ["error", "Max. error"],
  ["tolerance", "Tolerance"],
  ["verdict", "Verdict"],
];
const GROUPS = { kernels: "kernel", layers: "layer", gradients: "gradient of" };

export function checkPanel(devices) {
  const panel = byId("check");
  const toggle = byId("check-toggle");
  const [verdict, progress, failures] = [byId("check-verdict"), byId("check-progress"), byId("check-failures")];
  /** Table rows by "group:name". */
  const rows = new Map();
  /** What came of each check so far, in turn. */
  let results = [];
  let controller;
  let running;

  for (const head of document.querySelectorAll(".check-table thead tr")) {
    head.append(...COLUMNS.map(([column, title]) => columnHead(column, title)));
  }

  function columnHead(column, title) {
    const cell = element("th", { scope: "col", textContent: title, dataset: { column } });
    cell.setAttribute("role", "columnheader");
    return cell;
  }

  function setState(state) {
    panel.dataset.state = state;
    toggle.textContent = state === "running" ? "Stop" : state === "idle" ? "Check" : "Check again";
    toggle.classList.toggle("primary", state !== "running");
    devices.onBusy();
  }

  /** Empty rows for all that will be checked. */
  function fill({ kernels, layers }) {
    rows.clear();
    for (const [group, names] of Object.entries({ kernels, layers, gradients: layers })) {
      byId(`check-${group}`).replaceChildren(...names.map((name) => emptyRow(group, name)));
    }
  }

  function emptyRow(group, name) {
    const row = element("tr", { dataset: { check: `${group}:${name}`, verdict: "pending" } });
    row.setAttribute("role", "row");
    for (const [column] of COLUMNS) {
      const cell = element(column === "name" ? "th" : "td", { dataset: { column } });
      cell.setAttribute("role", column === "name" ? "rowheader" : "cell");
      cell.textContent = column === "name" ? name : column === "verdict" ? "–" : "";
      row.append(cell);
    }
    rows.set(row.dataset.check, row);
    return row;
  }

  function begin(group, name) {
    const row = rows.get(`${group}:${name}`);
    row.dataset.verdict = "running";
    row.querySelector("[data-column=verdict]").textContent = "…";
  }

  function end(group, result) {
    results.push({ group, ...result });
    const row = rows.get(`${group}:${result.name}`);
    row.dataset.verdict = result.passed ? "ok" : "failed";
    const cell = (column) => row.querySelector(`[data-column=${column}]`);
    show(cell("cases"), count(result.cases), result.cases);
    // Of no cases there is nothing to measure.
    const measured = (value) => (result.cases > 0 ? scientific(value) : "–");
    show(cell("error"), measured(result.maxError), result.maxError);
    show(cell("tolerance"), measured(result.tolerance), result.tolerance);
    cell("verdict").textContent = result.passed ? "ok" : "FAILED";
    if (result.leftOut.length > 0) {
      const summary = element("summary", {
        textContent: `${plural(result.leftOut.length, "more case")} can’t run here`,
      });
      // "Which case: why"; of many cases the reason is the same.
      const reasons = new Set(result.leftOut.map((text) => sentence(text.split(": ").at(-1))));
      cell("name").append(element("details", { className: "left-out" }, summary, [...reasons].join(" ")));
    }
    if (!result.passed) {
      failures.hidden = false;
      const details = result.failures.map((failure) => element("li", { textContent: failure }));
      failures.append(
        element(
          "li",
          {},
          element("strong", { textContent: `${GROUPS[group]} ${result.name}` }),
          element("ul", {}, ...details),
        ),
      );
    }
  }

  const failed = () => results.filter((result) => !result.passed);
  const names = (some) => some.map(({ group, name }) => `${GROUPS[group]} ${name}`).join(", ");

  async function run() {
    const device = devices.current;
    fill(device);
    results = [];
    failures.replaceChildren();
    failures.hidden = true;
    byId("check-copy").hidden = true;
    progress.max = rows.size;
    progress.value = 0;
    verdict.className = "verdict";
    verdict.textContent = device.isCpu ? "Checking the CPU device…" : `Checking ${device.name}…`;
    controller = new AbortController();
    setState("running");
    const started = performance.now();
    const tell = () => {
      const time = duration((performance.now() - started) / 1000);
      byId("check-count").textContent = `${results.length} of ${rows.size}, ${time}`;
    };
    const onProgress = ({ group, name, row }) => {
      if (row) end(group, row);
      else begin(group, name);
      progress.value = results.length;
      tell();
    };
    try {
      await devices.call("check", {}, { onProgress, signal: controller.signal });
      conclude(device);
    } catch (error) {
      interrupted(`Stopped after ${plural(results.length, "check")}: ${error.message}`);
    }
  }

  function interrupted(text) {
    for (const row of rows.values()) {
      if (row.dataset.verdict !== "running") continue;
      row.dataset.verdict = "pending";
      row.querySelector("[data-column=verdict]").textContent = "–";
    }
    verdict.textContent = text;
    verdict.classList.toggle("bad", failed().length > 0);
    byId("check-copy").hidden = results.length === 0;
    setState(failed().length > 0 ? "failed" : "stopped");
  }

  function conclude(device) {
    const wrong = failed();
    if (results.length < rows.size) {
      const so = wrong.length > 0 ? `NOT RIGHT: ${names(wrong)}` : "right so far";
      interrupted(`Stopped after ${results.length} of ${plural(rows.size, "check")}: ${so}.`);
      return;
    }
    const right = wrong.length === 0;
    verdict.classList.add(right ? "good" : "bad");
    verdict.textContent = right
      ? `${device.isCpu ? "The CPU device" : device.name}: all is right.`
      : `NOT RIGHT: ${names(wrong)}. Do not trust this device’s results.`;
    byId("check-copy").hidden = false;
    setState(right ? "passed" : "failed");
  }

  /** As text, to be sent to somebody. */
  function report() {
    const { name, report: adapter } = devices.current ?? { name: "?" };
    const line = (cells) => [cells[0].padEnd(28), ...cells.slice(1).map((cell) => String(cell).padStart(12))].join(" ");
    const lines = Object.keys(GROUPS).flatMap((group) => [
      "",
      line([group, "cases", "max error", "tolerance", "verdict"]),
      ...results
        .filter((result) => result.group === group)
        .flatMap(({ name, cases, maxError, tolerance, passed, failures }) => [
          line([name, cases, maxError.toExponential(2), tolerance.toExponential(2), passed ? "ok" : "FAILED"]),
          ...failures.map((failure) => `  ${failure}`),
        ]),
    ]);
    return [verdict.textContent, name, navigator.userAgent, JSON.stringify(adapter), ...lines].join("\n");
  }

  toggle.addEventListener("click", () => {
    if (panel.dataset.state === "running") {
      controller.abort();
      verdict.textContent = "Stopping after this check…";
    } else {
      running = run();
    }
  });
  byId("check-copy").addEventListener("click", async ({ target }) => {
    const copied = await navigator.clipboard?.writeText(report()).then(
      () => true,
      () => false,
    );
    target.textContent = copied ? "Copied" : "Could not copy";
    setTimeout(() => (target.textContent = "Copy the report"), 2000);
  });

  return {
    busy: () => panel.dataset.state === "running",
    suspend() {
      controller?.abort();
      return running;
    },
    lost() {
      toggle.disabled = true;
    },
    opened() {
      toggle.disabled = false;
      const { isCpu } = devices.current;
      byId("check-cpu-note").hidden = !isCpu;
      byId("check-title").textContent = isCpu ? "Is the CPU device right?" : "Is this GPU right?";
      fill(devices.current);
      results = [];
      failures.hidden = true;
      verdict.className = "verdict";
      verdict.textContent = "";
      progress.value = 0;
      byId("check-count").textContent = plural(rows.size, "check");
      byId("check-copy").hidden = true;
      setState("idle");
      describeAdapter(devices.current.report);
    },
  };
}

/** The adapter's report: plain facts, then the objects of limits and features. */
function describeAdapter(report) {
  byId("check-adapter").hidden = !report;
  if (!report) return;
  const { limits, features, ...facts } = report;
  list("check-adapter-facts", facts);
  list("check-adapter-limits", limits);
  list("check-adapter-features", features);
}

function list(id, values) {
  const known = Object.entries(values ?? {}).filter(([, value]) => value !== undefined && value !== "");
  const items = known.map(([name, value]) =>
    element(
      "div",
      {},
      element("dt", { textContent: words(name) }),
      element("dd", { textContent: valueText(value, name) }),
    ),
  );
  byId(id).replaceChildren(...items);
}

const NAMES = {
  bindingBytes: "Size of a binding",
  bufferBytes: "Size of a buffer",
  workgroups: "Workgroups along an axis",
  invocations: "Invocations of a workgroup",
  workgroupBytes: "Memory of a workgroup",
  storageBuffers: "Storage buffers of a shader",
  f16: "16-bit floats in shaders",
  timestamps: "Timestamps",
  subgroup: "Lanes of a subgroup",
};

const words = (name) => NAMES[name] ?? name[0].toUpperCase() + name.slice(1);

function valueText(value, name) {
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "number") return name.endsWith("Bytes") ? bytes(value) : count(value);
  if (!Array.isArray(value)) return String(value);
  return [...new Set(value)].map((one) => count(one)).join(" to ");
}
