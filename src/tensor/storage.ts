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
} as const satisfies Record<string, FormatRow>;

export type StorageFormat = keyof typeof FORMATS;

export const STORAGE_FORMATS = Object.keys(FORMATS) as StorageFormat[];

/** What weights may be stored in: as a checkpoint has them and on the device. Activations and indices are of a DType. */
export type WeightFormat = Exclude<StorageFormat, "i32">;

export const WEIGHT_FORMATS = STORAGE_FORMATS.filter((format) => format !== "i32");

/** Formats whose rows are blocks of 32 columns with a scale each: `blocks.ts` has their bytes. */
export type BlockFormat = "q8" | "q4";

export function isBlockFormat(format: StorageFormat): format is BlockFormat {
  return format === "q8" || format === "q4";
}

/** Whether rows of `cols` columns can be stored so: those of a block format are whole blocks. */
export function holdsColumns(format: StorageFormat, cols: number): boolean {
  return !isBlockFormat(format) || cols % FORMATS[format].group.cols === 0;
}

/** Its number in programs, in the native modules and in their generated header. */
export function formatCode(format: StorageFormat): number {
  return STORAGE_FORMATS.indexOf(format);
}

/**
 * How the elements of a weight follow one another. plain: row by row. tiles8: tiles of 8 rows with the columns outside,
 * [ceil(rows / 8)][cols][8], the last tile filled up with zeros. In a block format, plain rows are ggml's blocks, and a
 * tile of tiles8 is, block of columns after block, 8 scales and then the elements as wasm/kernels/weights.h says. split,
 * of block formats alone: the elements of all rows, a block's as in plain, then the scales of all rows. The order is that
 * of their codes in programs.
 */
export const LAYOUTS = {
  plain: { tileRows: 1 },
  tiles8: { tileRows: 8 },
  split: { tileRows: 1 },
} as const satisfies Record<string, { readonly tileRows: number }>;

export type WeightLayout = keyof typeof LAYOUTS;

export const WEIGHT_LAYOUTS = Object.keys(LAYOUTS) as WeightLayout[];

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
  return group ? elements + groupCount(group, storedRows, cols) * groupBytes(group) : elements;
}

function groupCount({ rows, cols }: ScaleGroup, matrixRows: number, matrixCols: number): number {
  const across = cols === "all" ? Math.min(matrixCols, 1) : Math.ceil(matrixCols / cols);
  return Math.ceil(matrixRows / rows) * across;
}

/** Of a group's scale and minimum. */
export function groupBytes({ scale, minimum }: ScaleGroup): number {
  return (FORMATS[scale].bits + (minimum ? FORMATS[minimum].bits : 0)) / 8;
}
