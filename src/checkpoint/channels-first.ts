/** Kernels of convolutions that lie with their channels last: [out, ...size, channels] as [out, channels, ...size]. */
import { hostArray } from "../tensor/dtype.ts";
import { rowElements } from "../tensor/rows.ts";
import { isGroupedFormat } from "../tensor/storage.ts";
import type { StoredWeight } from "./stored-weight.ts";

export function channelsFirst(weight: StoredWeight): StoredWeight {
  const { format, shape } = weight;
  if (isGroupedFormat(format)) throw new RangeError(`${weight.name} is in blocks`);
  const [out = 0, ...rest] = shape;
  const channels = rest.at(-1) ?? 1;
  const taps = rest.slice(0, -1).reduce((product, size) => product * size, 1);
  return {
    ...weight,
    shape: [out, channels, ...rest.slice(0, -1)],
    async readRows(first, count, into, signal) {
      const turned = rowElements(format, into);
      const stored = hostArray(format, turned.length);
      await weight.readRows(first, count, new Uint8Array(stored.buffer), signal);
      for (let row = 0; row < count; row++) {
        const start = row * channels * taps;
        for (let channel = 0; channel < channels; channel++) {
          for (let tap = 0; tap < taps; tap++) {
            turned[start + channel * taps + tap] = stored[start + tap * channels + channel] as number;
          }
        }
      }
    },
  };
}
