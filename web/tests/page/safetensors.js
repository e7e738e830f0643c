// Fixtures: safetensors files, read in full.

const arrays = { F64: Float64Array, F32: Float32Array, U32: Uint32Array, U8: Uint8Array };

/** `{bytes, metadata, array(name)}`; an array that is not there is undefined. */
export async function fixture(name) {
  const response = await fetch(`/fixtures/${name}`);
  if (!response.ok) throw new Error(`${name}: ${response.status}`);
  const bytes = new Uint8Array(await response.arrayBuffer());
  const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const { __metadata__: metadata = {}, ...header } = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  const array = (name) => {
    const entry = header[name];
    if (!entry) return undefined;
    const [begin, end] = entry.data_offsets.map((offset) => 8 + length + offset);
    // Typed arrays begin at multiples of their element's size: a copy does.
    return { data: new arrays[entry.dtype](bytes.slice(begin, end).buffer), shape: entry.shape };
  };
  return { bytes, metadata, array, names: Object.keys(header) };
}
