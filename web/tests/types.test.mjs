// The declarations say what the package does.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import ts from "typescript";

test("the declarations allow what the package has, and refuse what it has not", () => {
  const sample = fileURLToPath(new URL("types/sample.ts", import.meta.url));
  const program = ts.createProgram([sample], {
    strict: true,
    noEmit: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    lib: ["lib.es2022.d.ts", "lib.dom.d.ts", "lib.esnext.disposable.d.ts"],
  });
  const text = ({ messageText }) => ts.flattenDiagnosticMessageText(messageText, "\n");
  assert.deepEqual(ts.getPreEmitDiagnostics(program).map(text), []);
});
