// A static server for the demo, the tests and the measurements.
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, resolve, sep } from "node:path";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const repository = fileURLToPath(new URL("../../", import.meta.url));

// Addresses that lie elsewhere in the repository; all others lie in web/.
const mappings = [
  ["/models/g2p_en.safetensors", "examples/g2p/g2p_en.safetensors"],
  ["/models/silero_vad_16k.safetensors", "examples/audio/vad/silero_vad_16k.safetensors"],
  ["/models/speech.tsv", "examples/training/data/speech/speech.tsv"],
  ["/models/text.txt", "examples/training/data/char_lm/text.txt"],
  ["/fixtures/", "tests/fixtures/"],
  ["/", "web/"],
];

const mimeTypes = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".ico": "image/x-icon",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json",
  ".map": "application/json",
  ".mjs": "text/javascript; charset=utf-8",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".ts": "text/plain; charset=utf-8",
  ".tsv": "text/tab-separated-values; charset=utf-8",
  ".txt": "text/plain; charset=utf-8",
  ".wasm": "application/wasm",
  ".wav": "audio/wav",
};

/** The file behind an address's path, or undefined where the path leads out of its folder. */
export function locate(pathname) {
  let path;
  try {
    path = decodeURIComponent(pathname);
  } catch {
    return undefined;
  }
  if (path.includes("\0")) return undefined;
  const [prefix, target] = mappings.find(([from]) => (from.endsWith("/") ? path.startsWith(from) : path === from)) ?? [];
  if (prefix === undefined) return undefined;
  const folder = join(repository, target);
  const file = resolve(folder, "." + sep + path.slice(prefix.length));
  if (!prefix.endsWith("/")) return resolve(folder);
  return (file + sep).startsWith(folder) ? file : undefined;
}

/**
 * Serves until closed. Port 0 takes any free one. `isolated` sends the headers that give pages shared memory,
 * which a peer's threads need; the library needs none.
 */
export async function serve({ port = 0, host = "127.0.0.1", isolated = false } = {}) {
  const server = createServer((request, response) => {
    answer(request, response, isolated).catch(() => response.destroy());
  });
  await new Promise((listening, failed) => {
    server.once("error", failed);
    server.listen(port, host, listening);
  });
  return {
    url: `http://${host}:${server.address().port}`,
    close: () =>
      new Promise((closed) => {
        server.close(closed);
        server.closeAllConnections();
      }),
  };
}

async function answer(request, response, isolated) {
  if (request.method !== "GET" && request.method !== "HEAD") {
    return refuse(response, 405, `${request.method} is not served here`);
  }
  const pathname = request.url.split(/[?#]/, 1)[0];
  if (pathname === "/") return redirect(response, "/demo/");
  let file = locate(pathname);
  let found = file && (await stat(file).catch(() => undefined));
  if (found?.isDirectory()) {
    // Relative addresses of the page need the slash.
    if (!pathname.endsWith("/")) return redirect(response, `${pathname}/`);
    file = join(file, "index.html");
    found = await stat(file).catch(() => undefined);
  }
  if (!found?.isFile()) return refuse(response, 404, `no file at ${pathname}`);

  response.writeHead(200, {
    "Content-Type": mimeTypes[extname(file)] ?? "application/octet-stream",
    "Content-Length": found.size,
    "Cache-Control": "no-cache",
    ...(isolated && {
      "Cross-Origin-Opener-Policy": "same-origin",
      "Cross-Origin-Embedder-Policy": "require-corp",
    }),
  });
  if (request.method === "HEAD") return response.end();
  await pipeline(createReadStream(file), response);
}

function redirect(response, location) {
  response.writeHead(302, { Location: location }).end();
}

function refuse(response, status, text) {
  response.writeHead(status, { "Content-Type": "text/plain; charset=utf-8" }).end(`${status}: ${text}\n`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: { port: { type: "string", default: "8080" }, host: { type: "string" }, isolated: { type: "boolean" } },
  });
  const { url } = await serve({ ...values, port: Number(values.port) });
  console.log(`${url}/`);
}
