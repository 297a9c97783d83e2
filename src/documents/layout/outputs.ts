/**
 * What exports of PP-DocLayoutV3 give, as boxes. Two kinds are known: Paddle's own, rows of [class, score, left, top, right,
 * bottom, order] that are sorted out already, and that of the model in transformers: logits and boxes of 300 queries.
 */

import { GlimtError } from "../../errors.ts";
import type { Box, PageSize } from "./boxes.ts";
import { NUM_CLASSES } from "./classes.ts";
import type { OnnxTensor } from "./onnx-runtime.ts";

/** Columns of a row: with a place in the order of reading, and without. */
const ROW_COLUMNS = [7, 6];

type Outputs = Readonly<Record<string, OnnxTensor>>;

/**
 * @param scale from the pixels of rows to those of the page
 * @throws INPUT_INVALID for outputs of another kind
 */
export function boxesOf(outputs: Outputs, page: PageSize, scale: readonly [x: number, y: number]): Box[] {
  const all = Object.entries(outputs);
  const named = (name: RegExp, fits: (dims: readonly number[]) => boolean) =>
    all.find(([key, { dims }]) => name.test(key) && fits(dims))?.[1];
  const logits = named(/logits/, (dims) => dims.length === 3 && dims[2] === NUM_CLASSES);
  const places = named(/box/, (dims) => dims.length === 3 && dims[2] === 4);
  if (logits && places && logits.dims[1] === places.dims[1]) {
    const order = named(/order/, (dims) => dims.length === 3 && dims[1] === dims[2]);
    return queryBoxes(numbers(logits), numbers(places), order && numbers(order), page);
  }
  const rows = all.find(([, { dims }]) => ROW_COLUMNS.includes(dims.at(-1) as number))?.[1];
  if (rows) return rowBoxes(numbers(rows), rows.dims.at(-1) as number, scale);
  const found = all.map(([key, { dims }]) => `${key} [${dims.join(", ")}]`).join(", ");
  throw new GlimtError(
    "INPUT_INVALID",
    `The layout model gives ${found}; expected rows of [class, score, box, order], or logits and boxes, as PP-DocLayoutV3 does.`,
  );
}

function rowBoxes(rows: ArrayLike<number>, columns: number, [x, y]: readonly [number, number]): Box[] {
  return Array.from({ length: Math.floor(rows.length / columns) }, (_, row) => {
    const [number = -1, score = 0, left = 0, top = 0, right = 0, bottom = 0, order = row] = Array.from(
      { length: columns },
      (_, column) => Number(rows[row * columns + column]),
    );
    return { classNumber: number, score, corners: [left * x, top * y, right * x, bottom * y], order };
  });
}

/** As many of the surest pairs of query and class as there are queries. */
function queryBoxes(
  logits: ArrayLike<number>,
  places: ArrayLike<number>,
  orderLogits: ArrayLike<number> | undefined,
  { width, height }: PageSize,
): Box[] {
  const queries = places.length / 4;
  const surest = Array.from({ length: logits.length }, (_, index) => index)
    .sort((a, b) => Number(logits[b]) - Number(logits[a]))
    .slice(0, queries);
  const order = orderLogits ? ranks(orderLogits, queries) : undefined;
  return surest.map((index) => {
    const query = Math.floor(index / NUM_CLASSES);
    const [x = 0, y = 0, across = 0, down = 0] = [0, 1, 2, 3].map((at) => Number(places[query * 4 + at]));
    return {
      classNumber: index % NUM_CLASSES,
      score: sigmoid(Number(logits[index])),
      corners: [
        (x - across / 2) * width,
        (y - down / 2) * height,
        (x + across / 2) * width,
        (y + down / 2) * height,
      ],
      // An export without the head is read from the top, as lines are.
      order: order ? (order[query] as number) : y + x / 1000,
    };
  });
}

/** Each query's place: how many others are said to come before it, by the votes of all pairs. */
function ranks(logits: ArrayLike<number>, queries: number): Float64Array {
  const votes = new Float64Array(queries);
  for (let to = 0; to < queries; to++) {
    let sum = 0;
    for (let from = 0; from < queries; from++) {
      if (from < to) sum += sigmoid(Number(logits[from * queries + to]));
      else if (from > to) sum += 1 - sigmoid(Number(logits[to * queries + from]));
    }
    votes[to] = sum;
  }
  const places = new Float64Array(queries);
  const sorted = Array.from(votes.keys()).sort((a, b) => (votes[a] as number) - (votes[b] as number));
  for (const [place, query] of sorted.entries()) places[query] = place;
  return places;
}

function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

function numbers({ data }: OnnxTensor): ArrayLike<number> {
  if (ArrayBuffer.isView(data) && !(data instanceof DataView)) return data as unknown as ArrayLike<number>;
  throw new GlimtError("INPUT_INVALID", "The layout model gives outputs that are no numbers.");
}
