// The doctor's rows.
import { openGpu, wgrnn } from "./library.js";

async function rows(names, check) {
  const device = await openGpu();
  const rows = [];
  for (const name of names) rows.push(await check(device, name));
  return rows;
}

export const kernels = () => rows(wgrnn.kernelNames(), wgrnn.checkKernel);
export const layers = () => rows(wgrnn.layerNames(), wgrnn.checkLayer);
export const gradients = () => rows(wgrnn.layerNames(), wgrnn.checkGradients);
