// Draws results as bars: node bench/chart.mjs RESULTS.json [CHART.svg]
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { adapterText, milliseconds, shapeText } from "./table.mjs";

const colours = { wgrnn: "#1f6f8b", "onnxruntime-web": "#b9772f", tfjs: "#8a8a8a" };
const [width, left, right] = [760, 190, 90];
const [rowHeight, barHeight, titleHeight, top] = [24, 16, 34, 52];

export function chart(results) {
  const times = results.workloads.flatMap(({ rows }) => rows.flatMap((row) => row.milliseconds ?? []));
  // The shortest bar has a length too.
  const first = Math.floor(Math.log10(Math.min(...times.map(({ lower }) => lower)) / 2));
  const last = Math.ceil(Math.log10(Math.max(...times.map(({ upper }) => upper))));
  const x = (value) => left + ((Math.log10(value) - first) / (last - first)) * (width - left - right);

  const parts = [];
  let y = top;
  for (const { name, shape, rows } of results.workloads) {
    parts.push(text(left, y + 22, `${name}: ${shapeText(shape)}`, 'font-weight="bold"'));
    y += titleHeight;
    for (const row of rows) {
      parts.push(text(left - 8, y + 13, row.name, 'text-anchor="end"'), ...bar(row, x, y));
      y += rowHeight;
    }
  }
  const ticks = Array.from({ length: last - first + 1 }, (_, i) => 10 ** (first + i));
  const grid = ticks.flatMap((tick) => [
    `<path d="M${x(tick)} ${top}V${y}" stroke="#dddddd"/>`,
    text(x(tick), y + 16, tick.toLocaleString("en-GB"), 'text-anchor="middle"'),
  ]);
  const height = y + 44;
  const { browser, machine } = results;
  const where = `Chromium ${browser.version.split(".")[0]}, WebGPU on ${adapterText(results)}, ${machine.cpu}, ${machine.cores} cores`;
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"`,
    `  font-family="sans-serif" font-size="12" fill="#222222">`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    text(12, 22, "An LSTM in the browser: milliseconds, less is better", 'font-size="15" font-weight="bold"'),
    text(12, 42, where, 'fill="#555555"'),
    ...grid,
    ...parts,
    text((left + width - right) / 2, y + 34, "milliseconds, logarithmic; lines: the middle half of all runs", 'text-anchor="middle" fill="#555555"'),
    "</svg>",
  ].join("\n")}\n`;
}

function bar({ peer, status, milliseconds: ms }, x, y) {
  if (!ms) return [text(left + 6, y + 13, status, 'fill="#b00020"')];
  const middle = y + barHeight / 2 + 1;
  return [
    `<rect x="${left}" y="${y + 1}" width="${(x(ms.median) - left).toFixed(1)}" height="${barHeight}" fill="${colours[peer]}"/>`,
    `<path d="M${x(ms.lower).toFixed(1)} ${middle}H${x(ms.upper).toFixed(1)}" stroke="#222222" stroke-width="2"/>`,
    text(x(ms.upper) + 6, y + 13, `${milliseconds(ms.median)} ms`, 'stroke="#ffffff" stroke-width="3" paint-order="stroke"'),
  ];
}

function text(x, y, content, attributes = "") {
  const escaped = content.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  return `<text x="${x.toFixed(1)}" y="${y}" ${attributes}>${escaped}</text>`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [from, to = fileURLToPath(new URL("chart.svg", import.meta.url))] = process.argv.slice(2);
  if (!from) throw new Error("node bench/chart.mjs RESULTS.json [CHART.svg]");
  await writeFile(to, chart(JSON.parse(await readFile(from, "utf8"))));
}
