// The worker and its device: which one all panels use, and what is said where there is none.

import { byId, enable, kept } from "./dom.js";
import { sentence } from "./format.js";
import { Client, RequestError } from "./rpc.js";

export class Devices {
  /** Called when a panel begins or ends its work. */
  onBusy = () => {};
  /** What `open` of worker.js gave; undefined while there is no device. */
  current;
  #client;
  #panels = [];
  /** "gpu", "cpu", or "auto": the fastest. */
  #asked = "auto";

  /** Opens the device that the address or this tab's past asks for, else the fastest. */
  async start(panels) {
    this.#panels = panels;
    for (const kind of ["gpu", "cpu"]) byId(`device-${kind}`).addEventListener("change", () => this.#change(kind));
    byId("package-retry").addEventListener("click", () => this.#change(this.#asked));
    byId("gpu-retry").addEventListener("click", () => this.#change("gpu"));
    byId("lost-gpu").addEventListener("click", () => this.#change("gpu"));
    byId("lost-cpu").addEventListener("click", () => this.#change("cpu"));
    const asked = new URLSearchParams(location.search).get("device") ?? kept.get("device");
    await this.#open(["gpu", "cpu"].includes(asked) ? asked : "auto");
  }

  /** Asks the worker. A lost device is seen here, whosever request it was. */
  async call(method, parameters, options) {
    if (!this.current) throw new RequestError({ message: "there is no device" });
    const client = this.#client;
    try {
      return await client.call(method, parameters, options);
    } catch (error) {
      // Not where the worker was ended on purpose: another one has its place.
      if ((error.lost || error.fatal) && client === this.#client) this.#lost(error);
      throw error;
    }
  }

  async #change(kind) {
    enable(byId("device-choice"), false);
    // Panels put aside what they can; of a device that does not answer nothing is waited for.
    const patience = new Promise((resolve) => setTimeout(resolve, 15_000));
    this.#status("starting", kind, "Putting work aside…");
    if (this.current) await Promise.race([Promise.all(this.#panels.map((panel) => panel.suspend?.())), patience]);
    await this.#open(kind);
  }

  async #open(kind) {
    this.current = undefined;
    this.#asked = kind;
    const wanted = kind === "cpu" ? "cpu" : "gpu";
    this.#client?.close();
    for (const notice of ["package", "gpu", "lost"]) byId(`${notice}-notice`).hidden = true;
    byId(`device-${wanted}`).checked = true;
    enable(byId("device-choice"), false);
    this.#status("starting", wanted, "Loading the package…");
    try {
      this.#client = new Client(moduleWorker());
    } catch {
      byId("old-browser-notice").hidden = false;
      this.#status("failed", wanted, "This browser is too old");
      return;
    }
    const client = this.#client;
    try {
      await client.call("load");
    } catch (error) {
      notice("package-notice", sentence(error.message));
      this.#status("failed", wanted, "The package could not be loaded");
      enable(byId("device-choice"), true);
      return;
    }
    let opened = wanted;
    try {
      this.#status("starting", wanted, wanted === "gpu" ? "Asking for a GPU…" : "Starting the CPU device…");
      this.current = await client.call("open", { kind });
      if (kind === "auto" && this.current.isCpu) {
        notice("gpu-notice", sentence(this.current.note.replace(/^using the CPU: /, "")));
        opened = "cpu";
      }
    } catch (error) {
      if (wanted === "gpu") {
        notice("gpu-notice", sentence(error.message));
        opened = "cpu";
        this.current = await client.call("open", { kind: "cpu" }).catch(() => undefined);
      }
    }
    enable(byId("device-choice"), true);
    if (!this.current) {
      notice("package-notice", "No device could be opened.");
      this.#status("failed", opened, "No device");
      return;
    }
    byId(`device-${opened}`).checked = true;
    kept.set("device", kind);
    const { name, isCpu, note } = this.current;
    this.#status("ready", opened, isCpu ? "WebAssembly on the CPU" : (note ?? name));
    for (const panel of this.#panels) panel.opened?.();
  }

  #lost(error) {
    if (!this.current) return;
    const { isCpu } = this.current;
    this.current = undefined;
    byId("lost-notice").querySelector("h2").textContent = error.lost
      ? "The GPU device was lost"
      : "The library stopped";
    const keptParts = this.#panels.map((panel) => panel.lost?.()).filter(Boolean);
    byId("lost-notice").querySelector(".kept").textContent = [
      "Texts and settings are as they were.",
      ...keptParts,
    ].join(" ");
    byId("lost-cpu").textContent = isCpu ? "Start again on the CPU" : "Go on with the CPU";
    notice("lost-notice", sentence(error.message));
    this.#status("lost", isCpu ? "cpu" : "gpu", error.lost ? "Device lost" : "Stopped");
  }

  #status(state, kind, text) {
    const status = byId("device-status");
    Object.assign(status.dataset, { state, kind });
    status.textContent = text;
    status.title = text;
  }
}

/** A worker that is a module; browsers that know no such thing would run it as a script, and fail late. */
function moduleWorker() {
  let known = false;
  const options = {
    get type() {
      known = true;
      return "module";
    },
  };
  const worker = new Worker(new URL("worker.js", import.meta.url), options);
  if (!known) {
    worker.terminate();
    throw new Error("no module workers");
  }
  return worker;
}

function notice(id, reason) {
  const place = byId(id);
  place.querySelector(".reason").textContent = reason;
  place.hidden = false;
  place.scrollIntoView({ block: "nearest" });
}
