// The package, loaded once for a page, and its two devices.
import init, * as wgrnn from "../../pkg/wgrnn.js";

await init();
export { wgrnn };

let gpu;
/** The one GPU device of this page. */
export const openGpu = () => (gpu ??= wgrnn.Device.gpu());

/** "gpu" or "cpu". */
export const open = async (device) => (device === "gpu" ? openGpu() : wgrnn.Device.cpu());

/** Whatever a function, or its promise, throws. */
export async function thrown(call) {
  try {
    await call();
  } catch (error) {
    return error;
  }
  return undefined;
}
