// Results as a table in Markdown.

const MIB = 2 ** 20;

export function shapeText({ symbols, steps, batch, input, hidden }) {
  const sizes = [`T ${steps}`, `N ${batch}`, `I ${input}`, `H ${hidden}`];
  return (symbols ? [...sizes, `${symbols} symbols`] : sizes).join(", ");
}

export function milliseconds(value) {
  return value >= 100 ? Math.round(value).toLocaleString("en-GB") : value.toPrecision(3);
}

export function adapterText({ adapter }) {
  if (!adapter) return "no adapter";
  const software = adapter.isFallbackAdapter && "(software)";
  return [adapter.vendor, adapter.architecture, adapter.description, software].filter(Boolean).join(" ");
}

export function table(results) {
  const { machine, browser, workloads, downloads, errors } = results;
  const lines = [
    `Chromium ${browser.version}, WebGPU adapter ${adapterText(results)}; ${machine.cpu}, ${machine.cores} cores, ` +
      `load ${machine.loadBefore.toFixed(1)} before and ${machine.loadAfter.toFixed(1)} after.`,
  ];
  for (const { name, shape, rows } of workloads) {
    lines.push("", `**${name}** (${shapeText(shape)})`, "");
    lines.push("| | ms, median | middle half | runs | off by at most |", "| --- | ---: | ---: | ---: | ---: |");
    for (const row of rows) lines.push(line(row));
  }
  lines.push("", "| download | files | MiB | MiB, gzip |", "| --- | ---: | ---: | ---: |");
  for (const { name, files } of downloads) {
    const sum = (key) => (files.reduce((total, file) => total + file[key], 0) / MIB).toFixed(2);
    lines.push(`| ${name} | ${files.length} | ${sum("bytes")} | ${sum("gzip")} |`);
  }
  if (errors.length) lines.push("", "The page's errors:", ...errors.map((error) => `- ${error}`));
  return lines.join("\n");
}

function line({ name, status, reason, milliseconds: ms, maxDifference }) {
  if (status !== "right") return `| ${name} | ${status}: ${reason} | | | |`;
  const [median, lower, upper] = [ms.median, ms.lower, ms.upper].map(milliseconds);
  return `| ${name} | ${median} | ${lower} to ${upper} | ${ms.runs} | ${maxDifference.toExponential(1)} |`;
}
