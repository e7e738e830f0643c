// Where somebody speaks in a recording: a file's, the sample's, or what is said into the microphone.

import { MOST_SECONDS, Player, RATE, decode, loudest } from "../audio.js";
import { redrawing } from "../chart.js";
import { byId, element, onDrop } from "../dom.js";
import { duration, fixed, plural, rounded, sentence } from "../format.js";
import { LONGEST, Recording } from "../microphone.js";
import { drawRecording } from "../waveform.js";

/** Samples that a probability is of. */
const CHUNK = 512;
/** A segment that is longer, in seconds, is no word. */
const LONGEST_WORD = 1.6;
/** A word's first and last sounds may be too faint for a segment, which is heard with so many seconds around it. */
const AROUND = 0.1;
/** Below this nobody would hear anything. */
const SILENT = 1e-4;

export function speechPanel(devices) {
  const panel = byId("speech");
  const control = (name) => byId(`speech-${name}`);
  const [status, failure, canvas, playhead] = ["status", "error", "canvas", "playhead"].map(control);
  const player = new Player();
  /** { name, samples, cut }, and what was found: { probabilities, segments }. */
  let recording;
  let selected;
  /** What was asked for last: older answers are not shown. */
  let asked;

  const redraw = redrawing(canvas, (context, width, height, colour) => {
    if (!recording?.segments) return;
    drawRecording(context, width, height, colour, { ...recording, rate: RATE, chunk: CHUNK }, selected);
  });

  function setState(state) {
    panel.dataset.state = state;
    devices.onBusy();
  }

  function fails(message) {
    failure.textContent = message;
    status.textContent = "";
    setState(recording?.segments ? "done" : "failed");
  }

  async function take(file) {
    const turn = (asked = Symbol());
    failure.textContent = "";
    status.textContent = `Decoding ${file.name}…`;
    setState("busy");
    try {
      const decoded = await decode(file);
      if (turn !== asked) return;
      player.stop();
      recording = { name: file.name, ...decoded };
      control("result").hidden = true;
      if (devices.current) await find(turn);
    } catch (error) {
      if (turn === asked) fails(sentence(error.message));
    }
  }

  async function find(turn) {
    const { name, samples, cut } = recording;
    status.textContent = `Listening to ${name}, ${duration(samples.length / RATE)}…`;
    setState("busy");
    const copy = samples.slice();
    const found = await devices.call("speech", { samples: copy }, { transfer: [copy.buffer] });
    if (turn !== asked) return;
    Object.assign(recording, found);
    selected = undefined;
    const length = samples.length / RATE;
    const spoken = found.segments.reduce((sum, { start, end }) => sum + end - start, 0) / RATE;
    const what =
      found.segments.length === 0
        ? "No speech"
        : `${fixed(spoken, 2)} s of speech in ${plural(found.segments.length, "segment")}`;
    const speed = `${duration(found.seconds)}, ${rounded(length / found.seconds)} times as fast as it plays`;
    status.textContent = `${what}, of ${fixed(length, 2)} s; found in ${speed}.`;
    const remarks = [];
    if (loudest(samples) < SILENT) remarks.push("The recording is silent.");
    if (cut) remarks.push(`Only its first ${MOST_SECONDS / 60} minutes were taken.`);
    failure.textContent = remarks.join(" ");
    control("name").textContent = name;
    const shaded = `the probability of speech and ${plural(found.segments.length, "segment")} shaded`;
    canvas.setAttribute(
      "aria-label",
      `Waveform of ${name}, ${fixed(length, 1)} seconds, with ${shaded}. The list below plays them.`,
    );
    list();
    control("result").hidden = false;
    redraw();
    setState("done");
    await spell(turn);
  }

  /** What the network of the lesson `speech` hears in segments that may be a word, letter by letter. */
  async function spell(turn) {
    control("words").hidden = true;
    for (const [at, { start, end }] of recording.segments.entries()) {
      if (end - start > LONGEST_WORD * RATE) continue;
      const samples = recording.samples.slice(Math.max(start - AROUND * RATE, 0), end + AROUND * RATE);
      const { text, nearest } = await devices.call("spelling", { samples }, { transfer: [samples.buffer] });
      if (turn !== asked) return;
      const button = buttons()[at];
      button.dataset.word = text;
      button.dataset.nearest = nearest ?? "";
      const meant = nearest && nearest !== text ? `, ${nearest}?` : "";
      button.querySelector("em").textContent = text ? `“${text}”${meant}` : "";
      button.setAttribute("aria-label", `${button.getAttribute("aria-label")}: ${text || "no word"}${meant}`);
      control("words").hidden = false;
    }
  }

  function list() {
    const items = recording.segments.map(({ start, end }, at) => {
      const [from, to] = [start / RATE, end / RATE];
      const button = element(
        "button",
        { type: "button", dataset: { start: from, end: to } },
        element("span", { textContent: `${fixed(from, 2)} – ${fixed(to, 2)} s` }),
        element("em"),
        element("small", { textContent: `${fixed(to - from, 2)} s` }),
      );
      button.setAttribute("aria-label", `Play ${fixed(from, 2)} to ${fixed(to, 2)} seconds`);
      button.setAttribute("aria-pressed", "false");
      button.addEventListener("click", () =>
        selected === at && player.time !== undefined ? player.stop() : play(from, to, at),
      );
      return element("li", {}, button);
    });
    control("segments").replaceChildren(...items);
  }

  const buttons = () => [...control("segments").querySelectorAll("button")];

  async function play(from, to, at) {
    player.stop();
    selected = at;
    buttons()[at]?.setAttribute("aria-pressed", "true");
    control("play").textContent = at === undefined ? "Stop" : "Play all";
    redraw();
    try {
      await player.play(recording.samples, from, to, () => {
        buttons()[at]?.setAttribute("aria-pressed", "false");
        control("play").textContent = "Play all";
        playhead.hidden = true;
      });
    } catch {
      failure.textContent = "This browser plays no sound here.";
    }
    move();
  }

  function move() {
    const now = player.time;
    playhead.hidden = now === undefined;
    if (now === undefined) return;
    playhead.style.left = `${Math.min((now * RATE) / recording.samples.length, 1) * 100}%`;
    requestAnimationFrame(move);
  }

  async function takeSample() {
    const url = new URL("../../fixtures/vad_speech.wav", import.meta.url);
    const response = await fetch(url).catch(() => undefined);
    if (!response?.ok) {
      fails("The sample could not be fetched: choose a file of your own.");
      return;
    }
    await take(new File([await response.blob()], "The sample"));
  }

  // ---- The microphone ----

  /** What is being recorded, and whether the microphone was asked for. */
  let [live, asking] = [undefined, false];

  function setRecording(is) {
    control("record").textContent = is ? "Stop recording" : "Record";
    control("record").dataset.on = is;
    control("live").hidden = !is;
    devices.onBusy();
  }

  async function record() {
    if (asking) return;
    asking = true;
    failure.textContent = "";
    status.textContent = "Asking for the microphone…";
    player.stop();
    try {
      live = await Recording.begin({
        onLevel(level, seconds) {
          control("level").value = level;
          control("seconds").textContent = `${fixed(seconds, 1)} s of ${LONGEST} s`;
        },
        onEnd: endRecording,
      });
      status.textContent = "Recording: speak. Nothing of it leaves this computer.";
      setRecording(true);
    } catch (error) {
      fails(sentence(error.message));
    } finally {
      asking = false;
    }
  }

  function endRecording() {
    if (!live) return undefined;
    const seconds = live.seconds;
    const file = live.end();
    live = undefined;
    setRecording(false);
    if (seconds === 0) {
      fails("Nothing came from the microphone: check that it is on, and record again.");
      return undefined;
    }
    return take(file);
  }

  control("record").addEventListener("click", () => (live ? endRecording() : record()));
  addEventListener("pagehide", () => live?.end());

  control("file").addEventListener("change", async ({ target }) => {
    const [file] = target.files;
    // So that the same file can be chosen again.
    target.value = "";
    if (file) await take(file);
  });
  control("sample").addEventListener("click", takeSample);
  onDrop(control("drop"), take);
  control("play").addEventListener("click", () => {
    if (player.time !== undefined && selected === undefined) player.stop();
    else play(0, recording.samples.length / RATE, undefined);
  });
  canvas.addEventListener("click", ({ offsetX }) => {
    const sample = (offsetX / canvas.clientWidth) * recording.samples.length;
    const at = recording.segments.findIndex(({ start, end }) => sample >= start && sample < end);
    if (at >= 0) play(recording.segments[at].start / RATE, recording.segments[at].end / RATE, at);
    else play(sample / RATE, recording.samples.length / RATE, undefined);
  });

  return {
    busy: () => panel.dataset.state === "busy" || live !== undefined,
    /** Nobody expects to be heard by a panel that is out of sight. */
    left: endRecording,
    lost() {
      asked = undefined;
      if (panel.dataset.state === "busy") fails("Interrupted: the recording is kept for the next device.");
    },
    /** A recording that the last device did not come to is taken up again. */
    opened() {
      if (!recording || recording.segments) return;
      const turn = (asked = Symbol());
      failure.textContent = "";
      find(turn).catch((error) => turn === asked && fails(sentence(error.message)));
    },
  };
}
