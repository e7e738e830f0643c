// The page: tabs, the device, and five panels. What tests hold on to is listed at the top of index.html.
//
//   main.js      tabs, and what is busy        panels/*.js   a panel each
//   device.js    the worker and its device     worker.js     the library's side; rpc.js: between the two
//
// A panel is made with the device's manager and gives { busy?, suspend?, opened?, shown?, left? }: whether it is at work,
// what it does before the device goes (it may give a promise), after a new one came, when it is looked at, and no more.

import { Devices } from "./device.js";
import { byId, kept } from "./dom.js";
import { ownPage } from "./own.js";
import { checkPanel } from "./panels/check.js";
import { handwritingPanel } from "./panels/handwriting.js";
import { phonemesPanel } from "./panels/phonemes.js";
import { speechPanel } from "./panels/speech.js";
import { trainPanel } from "./panels/train.js";

const devices = new Devices();
const panels = {
  train: trainPanel(devices),
  handwriting: handwritingPanel(devices),
  speech: speechPanel(devices),
  phonemes: phonemesPanel(devices),
  check: checkPanel(devices),
};

const tabs = [...document.querySelectorAll("[role=tab]")];

function select(tab, focus = false) {
  for (const other of tabs) {
    const selected = other === tab;
    other.setAttribute("aria-selected", selected);
    other.tabIndex = selected ? 0 : -1;
    byId(other.getAttribute("aria-controls")).hidden = !selected;
  }
  if (focus) tab.focus();
  const name = tab.getAttribute("aria-controls");
  kept.set("tab", name);
  for (const [other, panel] of Object.entries(panels)) if (other !== name) panel.left?.();
  panels[name].shown?.();
}

function choose(tab, focus) {
  select(tab, focus);
  // Not location.hash: the page would jump.
  history.replaceState(null, "", `#${tab.getAttribute("aria-controls")}`);
}

for (const [at, tab] of tabs.entries()) {
  tab.addEventListener("click", () => choose(tab));
  tab.addEventListener("keydown", ({ key }) => {
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1 + tabs.length, Home: 0, End: tabs.length - 1 }[key];
    if (to !== undefined) choose(tabs[to % tabs.length], true);
  });
}

const named = (name) => tabs.find((tab) => tab.getAttribute("aria-controls") === name);
const fromAddress = () => named(location.hash.slice(1));
addEventListener("hashchange", () => fromAddress() && select(fromAddress()));
select(fromAddress() ?? named(kept.get("tab")) ?? tabs[0]);

// The drawing moves, and tabs have a dot, while there is work.
devices.onBusy = () => {
  let any = false;
  for (const tab of tabs) {
    const busy = panels[tab.getAttribute("aria-controls")].busy?.() ?? false;
    tab.classList.toggle("busy", busy);
    any ||= busy;
  }
  document.documentElement.classList.toggle("busy", any);
};

addEventListener("beforeunload", (event) => {
  if (panels.train.unsaved()) event.preventDefault();
});

// A file dropped beside its place would take the page's place.
for (const type of ["dragover", "drop"]) addEventListener(type, (event) => event.preventDefault());

ownPage();
devices.start(Object.values(panels));

// Files are kept for the time without a network; not every page may have that.
navigator.serviceWorker?.register("sw.js").catch(() => {});
