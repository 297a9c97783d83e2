/** Caches full of noise: what attention reads costs the same as what a prompt would have left there. */
import type { Engine } from "../backends/backend.ts";
import type { KvPool } from "../runtime/kv-pool.ts";
import { hostLength } from "../tensor/dtype.ts";
import { fromFloat32 } from "../tensor/elements.ts";

const PAGES_AT_ONCE = 32;
/** Of each pool the version that was filled. */
const filled = new WeakMap<KvPool, number>();

/** Writes every page of the pool, unless that was done and it is still the same memory. */
export function fillCaches(engine: Engine, pool: KvPool): void {
  if (filled.get(pool) === pool.version) return;
  const { pageElements, dtype } = pool.layout;
  let state = 1;
  const noise = Float32Array.from({ length: PAGES_AT_ONCE * pageElements }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return state / 2 ** 31;
  });
  const values = fromFloat32(dtype, noise);
  for (const tensor of Object.values(pool.bindings())) {
    for (let row = 0; row < tensor.rows; row += PAGES_AT_ONCE) {
      const rows = Math.min(PAGES_AT_ONCE, tensor.rows - row);
      engine.write(tensor, row, values.subarray(0, hostLength(dtype, rows * pageElements)));
    }
  }
  filled.set(pool, pool.version);
}
