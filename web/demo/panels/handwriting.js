import { byId } from "../dom.js";
export function handwritingPanel(devices) {
  byId("handwriting");
  return { busy: () => false };
}
