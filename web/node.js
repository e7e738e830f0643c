// The package in Node.js, where fetch reads no files: `init()` finds the WebAssembly beside this one.
import { readFile } from "node:fs/promises";
import load from "./wgrnn.js";

export * from "./wgrnn.js";

/** As in a browser; what is given is used in place of the package's own file. */
export default function init(source) {
  return load(source ?? { module_or_path: readFile(new URL("wgrnn_bg.wasm", import.meta.url)) });
}
