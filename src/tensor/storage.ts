/** How matrices lie in memory: the table of storage formats, the layouts of weights, and the bytes of both. */

/** Number types that scales and minima are kept in. */
export type ScaleType = "f32" | "bf16" | "f16";

/** Elements of a matrix that share a scale: rectangles of `rows` x `cols`, smaller at the right and lower edge. */
export interface ScaleGroup {
  readonly rows: 1 | 128;
  /** "all" for one scale a row. */
  readonly cols: 16 | 32 | 64 | 128 | "all";
  readonly scale: ScaleType;
  /** Absent in a symmetric format. */
  readonly minimum?: ScaleType;
  /**
   * Where scales and minima are themselves integers of `bits` bits times one number for the groups of so many columns: the
   * types above are those of that number. A group's minimum is minus the product.
   */
  readonly coded?: { readonly bits: 6 | 8; readonly cols: 256 };
}

/**
 * One way to store a matrix. An element's value is the number that its bits say; with a `group` it is that number
 * times the group's scale, plus the group's minimum if there is one, each step rounded to float32. Another form of a
 * matrix is lossless when these float32 values are equal.
 */
export interface FormatRow {
  /** What an element's bits say; "signed" (two's complement) and "unsigned" are integers of `bits` bits. */
  readonly element: "f32" | "bf16" | "f16" | "i32" | "e4m3" | "signed" | "unsigned";
  /** Of one element. They lie side by side; a row begins at a whole byte. */
  readonly bits: number;
  readonly group?: ScaleGroup;
}

/** Every storage format. The order is that of their codes in programs. */
export const FORMATS = {
  f32: { element: "f32", bits: 32 },
  bf16: { element: "bf16", bits: 16 },
  f16: { element: "f16", bits: 16 },
  i32: { element: "i32", bits: 32 },
  /** ggml's Q8_0. */
  q8: { element: "signed", bits: 8, group: { rows: 1, cols: 32, scale: "f16" } },
  /** ggml's Q4_0. */
  q4: { element: "signed", bits: 4, group: { rows: 1, cols: 32, scale: "f16" } },
  // ggml's types of these names.
  q4_1: { element: "unsigned", bits: 4, group: { rows: 1, cols: 32, scale: "f16", minimum: "f16" } },
  q5_0: { element: "signed", bits: 5, group: { rows: 1, cols: 32, scale: "f16" } },
  q5_1: { element: "unsigned", bits: 5, group: { rows: 1, cols: 32, scale: "f16", minimum: "f16" } },
  q4_k: {
    element: "unsigned",
    bits: 4,
    group: { rows: 1, cols: 32, scale: "f16", minimum: "f16", coded: { bits: 6, cols: 256 } },
  },
  q5_k: {
    element: "unsigned",
    bits: 5,
    group: { rows: 1, cols: 32, scale: "f16", minimum: "f16", coded: { bits: 6, cols: 256 } },
  },
  q6_k: {
    element: "signed",
    bits: 6,
    group: { rows: 1, cols: 16, scale: "f16", coded: { bits: 8, cols: 256 } },
  },
  /** As fp8 checkpoints have weights, whose scales are of tensors, rows or blocks of 128 columns. */
  fp8: { element: "e4m3", bits: 8, group: { rows: 1, cols: 128, scale: "f32" } },
} as const satisfies Record<string, FormatRow>;

/** A row of the table of storage formats. */
export type StorageFormat = keyof typeof FORMATS;

export const STORAGE_FORMATS = /* @__PURE__ */ Object.keys(FORMATS) as StorageFormat[];

/**
 * What weights may be stored in: as a checkpoint has them and on the device. Activations and indices are of a DType.
 *
 * @useDeclaredType
 */
export type WeightFormat = Exclude<StorageFormat, "i32">;

export const WEIGHT_FORMATS = /* @__PURE__ */ STORAGE_FORMATS.filter((format) => format !== "i32");

/** Formats that float32 values are rounded to here, so that one may ask for them. Weights come in the others. */
export const ROUNDED_FORMATS = ["f32", "bf16", "f16", "q8", "q4"] as const satisfies readonly WeightFormat[];
/**
 * Formats that one may ask for.
 *
 * @useDeclaredType
 */
export type RoundedFormat = (typeof ROUNDED_FORMATS)[number];

export function isRoundedFormat(format: StorageFormat): format is RoundedFormat {
  return (ROUNDED_FORMATS as readonly StorageFormat[]).includes(format);
}

/** Formats whose rows are blocks of integers, with scales and minima for groups of them: `blocks.ts` has their bytes. */
export const BLOCK_FORMATS = ["q8", "q4", "q4_1", "q5_0", "q5_1", "q4_k", "q5_k", "q6_k"] as const;
export type BlockFormat = (typeof BLOCK_FORMATS)[number];

export function isBlockFormat(format: StorageFormat): format is BlockFormat {
  return (BLOCK_FORMATS as readonly StorageFormat[]).includes(format);
}

/** Formats whose rows are blocks of columns with scales: of integers, or of floats in few bits (`fp8.ts`). */
export type GroupedFormat = BlockFormat | "fp8";

export function isGroupedFormat(format: StorageFormat): format is GroupedFormat {
  return "group" in FORMATS[format];
}

/** Columns of a block. */
export function blockCols(format: GroupedFormat): number {
  return scaleRun(FORMATS[format].group).cols as number;
}

/** Whether rows of `cols` columns can be stored so: those of a format with scales are whole blocks. */
export function holdsColumns(format: StorageFormat, cols: number): boolean {
  return !isGroupedFormat(format) || cols % blockCols(format) === 0;
}

/** Its number in programs, in the native modules and in their generated header. */
export function formatCode(format: StorageFormat): number {
  return STORAGE_FORMATS.indexOf(format);
}

/**
 * How the elements of a weight follow one another. plain: row by row. tiles8: tiles of 8 rows with the columns outside,
 * [ceil(rows / 8)][cols][8], the last tile filled up with zeros. In a block format, plain rows are ggml's blocks (of fp8 a scale, then 128 elements), and a
 * tile of tiles8 is, block of columns after block, the scales of 8 rows and then the elements as wasm/kernels/weights.h
 * says. split, of q8, q4 and fp8 alone: the elements of all rows, a block's as in plain, then the scales of all rows. The order is
 * that of their codes in programs.
 */
export const LAYOUTS = {
  plain: { tileRows: 1 },
  tiles8: { tileRows: 8 },
  split: { tileRows: 1 },
} as const satisfies Record<string, { readonly tileRows: number }>;

export type WeightLayout = keyof typeof LAYOUTS;

export const WEIGHT_LAYOUTS = /* @__PURE__ */ Object.keys(LAYOUTS) as WeightLayout[];

/**
 * Bytes of a matrix, its scales and minima included. In a plain format without groups it is also the distance from the
 * first row to row `rows`.
 */
export function storageBytes(
  format: StorageFormat | FormatRow,
  rows: number,
  cols: number,
  layout: WeightLayout = "plain",
): number {
  const { bits, group }: FormatRow = typeof format === "string" ? FORMATS[format] : format;
  const { tileRows } = LAYOUTS[layout];
  const storedRows = Math.ceil(rows / tileRows) * tileRows;
  const elements = storedRows * Math.ceil((cols * bits) / 8);
  if (!group) return elements;
  const run = scaleRun(group);
  const across = run.cols === "all" ? Math.min(cols, 1) : Math.ceil(cols / run.cols);
  return elements + Math.ceil(storedRows / run.rows) * across * run.bytes;
}

/** Elements whose scales and minima stand together, and the bytes of these. */
export function scaleRun({ rows, cols, scale, minimum, coded }: ScaleGroup): {
  readonly rows: number;
  readonly cols: number | "all";
  readonly bytes: number;
} {
  const bits = FORMATS[scale].bits + (minimum ? FORMATS[minimum].bits : 0);
  if (!coded) return { rows, cols, bytes: bits / 8 };
  const codes = (coded.cols / (cols as number)) * (minimum ? 2 : 1);
  return { rows, cols: coded.cols, bytes: (bits + codes * coded.bits) / 8 };
}
