/** Blocks as checkpoints come in them: what they are worth in products, tables and sums as large as can be. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Engine, WeightRows } from "../../src/backends/backend.ts";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { quantisedRows } from "../../src/backends/reference/block-product.ts";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import { randomBlocks } from "../../src/conformance/random-blocks.ts";
import type { VerifiedProgram } from "../../src/program/verify-program.ts";
import { bytesOfBlock, SCALE_PLACES } from "../../src/tensor/block-parts.ts";
import { widenRows } from "../../src/tensor/rows.ts";
import {
  BLOCK_FORMATS,
  type BlockFormat,
  isRoundedFormat,
  storageBytes,
  type WeightLayout,
} from "../../src/tensor/storage.ts";
import { onEachHost } from "./pretending-host.ts";
import { failure, programOf, wave } from "./wasm-sample.ts";

const FORMATS = BLOCK_FORMATS.filter((format) => !isRoundedFormat(format));
const COLS = 512;

function rowsOf(format: BlockFormat, bytes: Uint8Array, dtype = format): WeightRows {
  const rowBytes = storageBytes(format, 1, COLS);
  const rows = bytes.length / rowBytes;
  return {
    spec: { name: "w", shape: [rows, COLS], dtype, sources: [] },
    dtype: format,
    rows,
    cols: COLS,
    readRows: async (first, count, into) =>
      into.set(bytes.subarray(first * rowBytes, (first + count) * rowBytes)),
  };
}

const linearOf = (format: BlockFormat, m: number, n: number) =>
  programOf(
    (g) => ({ y: g.linear({ x: g.input("x", [m, COLS], "f32"), w: g.weight("w", [n, COLS]) }) }),
    format,
  );

/** The same for the reference. */
const plainly = (program: VerifiedProgram): VerifiedProgram => ({
  ...program,
  buffers: program.buffers.map((buffer) => ({ ...buffer, layout: "plain" as const })),
});

async function run(
  engine: Engine,
  program: VerifiedProgram,
  source: WeightRows,
  layout: WeightLayout,
  inputs: Readonly<Record<string, Float32Array | Int32Array>>,
  [rows, cols]: readonly [number, number],
): Promise<Float32Array> {
  const w = await engine.uploadWeight(source, layout);
  const y = new Float32Array(rows * cols);
  await engine.run(engine.load(program, new Map([["w", w]])), { symbols: {}, buffers: { ...inputs, y } });
  engine.free(w);
  return y;
}

for (const format of FORMATS) {
  const [m, n] = [3, 43];
  const bytes = randomBlocks(format, "w", n, COLS);
  const values = widenRows(format, bytes);

  test(`${format}: a product is that of its values with activations in 8 bits, but for float32's rounding`, async () => {
    const engine = await referenceBackend.open();
    const x = wave(m * COLS);
    const y = await run(engine, plainly(linearOf(format, m, n)), rowsOf(format, bytes), "plain", { x }, [
      m,
      n,
    ]);
    engine.dispose();
    const { quants, scales } = quantisedRows(x, COLS);
    for (let row = 0; row < m; row++) {
      for (let column = 0; column < n; column++) {
        let [sum, size] = [0, 0];
        for (let i = 0; i < COLS; i++) {
          const at = row * COLS + i;
          const product =
            (quants[at] as number) *
            (scales[Math.floor(at / 32)] as number) *
            (values[column * COLS + i] as number);
          sum += product;
          size += Math.abs(product);
        }
        const found = y[row * n + column] as number;
        assert.ok(Math.abs(found - sum) < 2e-6 * size, `${row}, ${column}: ${found}, not ${sum}`);
      }
    }
  });

  for (const layout of ["plain", "tiles8"] as const) {
    test(`${format}: a table in ${layout} gives its values to the bit`, async () => {
      const engine = await wasmBackend.open();
      const program = programOf((g) => {
        const table = g.weight("w", [n, COLS]);
        const y = g.embed({ ids: g.input("ids", [n], "i32"), table }, { first: 0, total: n });
        if (layout === "plain") return { y };
        return { y, logits: g.linear({ x: g.input("x", [1, COLS], "f32"), w: table }) };
      }, format);
      const tied = layout === "plain" ? {} : { x: new Float32Array(COLS), logits: new Float32Array(n) };
      const ids = Int32Array.from({ length: n }, (_, index) => index);
      const y = await run(engine, program, rowsOf(format, bytes), layout, { ids, ...tied }, [n, COLS]);
      assert.equal(y, values);
      engine.dispose();
    });
  }

  test(`${format}: a number that is not finite spoils its block, and nothing is made of it or becomes it`, async () => {
    for (const backend of [referenceBackend, wasmBackend]) {
      const engine = await backend.open();
      for (const place of SCALE_PLACES[format]) {
        const damaged = bytes.slice();
        damaged.set([0, 0x7c], 2 * bytesOfBlock(format) + place);
        const error = await failure(() => engine.uploadWeight(rowsOf(format, damaged), "plain"));
        assert.is(error.code, "WEIGHTS_INVALID");
        const cols = (bytesOfBlock(format) > 100 ? 256 : 32).toString();
        assert.ok(error.message.includes(`has ${cols} values that are NaN or infinite`), error.message);
      }
      const other = await failure(() => engine.uploadWeight(rowsOf(format, bytes, "q8" as never), "plain"));
      assert.is(other.code, "INPUT_INVALID");
      assert.match(other.message, /comes in .* and is to be stored in q8/);
      const spec = { name: "w", shape: [1, COLS], dtype: format, sources: [] };
      const made = await failure(() =>
        engine.uploadWeight({ spec, dtype: "f32", rows: 1, cols: COLS, readRows: async () => {} }, "plain"),
      );
      assert.is(made.code, "INPUT_INVALID");
      engine.dispose();
    }
  });
}

/** Blocks with integers as small as can be, less than nothing where they are signed, as large as can be, and in turns. */
function extremeBlocks(format: BlockFormat, rows: number): Uint8Array {
  const bytes = randomBlocks(format, "w", rows, COLS);
  const blockBytes = bytesOfBlock(format);
  const [least, most] = format === "q8" ? [0x80, 0x7f] : [0, 0xff];
  for (let at = 0; at < bytes.length; at++) {
    const place = at % blockBytes;
    if (SCALE_PLACES[format].some((first) => place >= first && place < first + 2)) continue;
    // Codes of scales that are signed: the largest is -128.
    const isSignedCode = format === "q6_k" && place >= 192;
    const kind = Math.floor(at / blockBytes) % 4;
    const isLeast = kind === 0 || (kind > 1 && (kind + place) % 2 === 0);
    bytes[at] = isSignedCode ? 128 : isLeast ? least : most;
  }
  return bytes;
}

/** Of equal magnitudes: of one sign for long, and with all signs that four columns can have. */
const EXTREMES: readonly ((index: number) => number)[] = [
  (index) => (Math.floor(index / 64) % 2 ? 1 : -1),
  (index) => ((Math.floor(index / 4) >> (index % 4)) % 2 ? 1 : -1),
];

for (const format of BLOCK_FORMATS) {
  test(`${format}: the largest sums there are, on every host`, async () => {
    const n = 43;
    const full = extremeBlocks(format, n);
    const reference = await referenceBackend.open();
    const engine = await wasmBackend.open();
    for (const [kind, extreme] of EXTREMES.entries()) {
      for (const m of [1, 2, 3, 4, 21]) {
        const x = Float32Array.from({ length: m * COLS }, (_, index) => extreme(index));
        const program = linearOf(format, m, n);
        const expected = await run(reference, plainly(program), rowsOf(format, full), "plain", { x }, [m, n]);
        assert.equal(await run(engine, program, rowsOf(format, full), "tiles8", { x }, [m, n]), expected);
        await onEachHost(async (host, byteDot) => {
          const y = await run(host, program, rowsOf(format, full), "tiles8", { x }, [m, n]);
          assert.equal(y, expected, `${byteDot}, ${m} rows, signs ${kind}`);
        });
      }
    }
    for (const used of [engine, reference]) used.dispose();
  });
}

test.run();
