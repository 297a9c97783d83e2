/** Device tensors with rows of a sentinel before and after, which show writes outside the bound rows. */
import type { DeviceRows, Engine } from "../backends/backend.ts";
import { type HostArray, hostArray, hostLength, type TensorDType } from "../tensor/dtype.ts";

const GUARD_ROWS = 2;

/** Patterns that no case computes: a large finite number in each float type. */
const SENTINELS: Readonly<Record<TensorDType, number>> = {
  f32: 1.2345e30,
  bf16: 0x7171,
  f16: 0x7a5a,
  i32: 0x5eed5eed,
  q8: 0x71,
};

export interface GuardedTensor {
  readonly binding: DeviceRows;
  /** What lies in the bound rows now, and whether a guard row changed. */
  read(): Promise<{ data: HostArray; strayWrite: boolean }>;
}

/** The bound rows hold `content`, or the sentinel too. */
export function guardedTensor(
  engine: Engine,
  dtype: TensorDType,
  rows: number,
  cols: number,
  content?: HostArray,
): GuardedTensor {
  const tensor = engine.allocate(dtype, rows + 2 * GUARD_ROWS, cols);
  engine.write(tensor, 0, hostArray(dtype, (rows + 2 * GUARD_ROWS) * cols).fill(SENTINELS[dtype]));
  if (content) engine.write(tensor, GUARD_ROWS, content);
  return {
    binding: { tensor, firstRow: GUARD_ROWS, rows },
    async read() {
      const all = await engine.read(tensor);
      const start = hostLength(dtype, GUARD_ROWS * cols);
      const end = start + hostLength(dtype, rows * cols);
      const sentinel = hostArray(dtype, 1).fill(SENTINELS[dtype])[0];
      const strayWrite = all.some((value, index) => (index < start || index >= end) && value !== sentinel);
      return { data: all.slice(start, end), strayWrite };
    },
  };
}
