// The package in a page of the reader's own: code that runs as it stands, and is copied by a click.

import { byId } from "./dom.js";

/** With the package's address: what is copied runs in any page that may load from here. */
const code = (address) => `<script type="module">
  import init, { Device, Rnn, RnnWeights } from "${address}";

  await init();
  const device = await Device.auto(); // a GPU, or else the CPU
  const config = { cell: "lstm", inputSize: 16, hiddenSize: 32 };
  const rnn = new Rnn(device, config, RnnWeights.init(config, 0));
  const x = { data: new Float32Array(10 * 3 * 16).fill(1), shape: [10, 3, 16] }; // 10 steps, 3 sequences
  const { y } = await rnn.forward(x);
  document.body.append(\`\${y.shape} on \${device.name}\`);
</script>`;

export function ownPage() {
  const button = byId("own-copy");
  const text = code(new URL("../pkg/wgrnn.js", import.meta.url).href);
  byId("own-code").textContent = text;
  button.addEventListener("click", async () => {
    const copied = await navigator.clipboard?.writeText(text).then(
      () => true,
      () => false,
    );
    if (!copied) getSelection().selectAllChildren(byId("own-code"));
    button.textContent = copied ? "Copied" : "Selected: copy it with the keyboard";
    setTimeout(() => (button.textContent = "Copy"), 2500);
  });
}
