// Keeps the page's files for the time without a network. The network always comes first: what is kept is never shown
// in place of what the server has.

const CACHE = "wgrnn-demo-1";
const FILES = [
  "./",
  "index.html",
  "style.css",
  "icon.svg",
  "main.js",
  "device.js",
  "dom.js",
  "rpc.js",
  "worker.js",
  "training.js",
  "text.js",
  "checkpoint.js",
  "format.js",
  "chart.js",
  "waveform.js",
  "words.js",
  "audio.js",
  "heatmap.js",
  "ink.js",
  "mel.js",
  "microphone.js",
  "own.js",
  "reader.js",
  "recorder.js",
  "store.js",
  "strokes.js",
  "panels/check.js",
  "panels/handwriting.js",
  "panels/handwriting-view.js",
  "panels/inside.js",
  "panels/train.js",
  "panels/train-kept.js",
  "panels/train-model.js",
  "panels/train-samples.js",
  "panels/train-settings.js",
  "panels/train-text.js",
  "panels/train-view.js",
  "panels/phonemes.js",
  "panels/speech.js",
  "models/handwriting.safetensors",
  "models/speech.safetensors",
  "../pkg/wgrnn.js",
  "../pkg/wgrnn_bg.wasm",
  "../pkg/wgrnn.d.ts",
  "../models/text.txt",
  "../models/speech.tsv",
  "../models/g2p_en.safetensors",
  "../models/silero_vad_16k.safetensors",
  "../fixtures/vad_speech.wav",
];

addEventListener("install", (event) => {
  skipWaiting();
  // One that is missing keeps no other from being kept.
  const keepAll = async () => {
    const cache = await caches.open(CACHE);
    await Promise.allSettled(FILES.map((file) => cache.add(new Request(file, { cache: "no-cache" }))));
  };
  event.waitUntil(keepAll());
});

addEventListener("activate", (event) => {
  const forgetOthers = async () => {
    const names = (await caches.keys()).filter((name) => name.startsWith("wgrnn-demo-") && name !== CACHE);
    await Promise.all(names.map((name) => caches.delete(name)));
    await clients.claim();
  };
  event.waitUntil(forgetOthers());
});

addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || new URL(request.url).origin !== location.origin) return;
  event.respondWith(answer(event, request));
});

async function answer(event, request) {
  try {
    const response = await fetch(request);
    if (response.status === 200) {
      const copy = response.clone();
      event.waitUntil(caches.open(CACHE).then((cache) => cache.put(request, copy)));
    }
    return response;
  } catch (error) {
    const held = await caches.match(request, { ignoreSearch: true });
    if (held) return held;
    throw error;
  }
}
