/** ONNX models made by hand: stand-ins with the inputs and outputs that exports of PP-DocLayoutV3 have. */

type Field = Uint8Array;

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return [...bytes, rest];
}

const number = (field: number, value: number): Field =>
  Uint8Array.from([...varint(field * 8), ...varint(value)]);
function bytes(field: number, content: Uint8Array | string): Field {
  const data = typeof content === "string" ? new TextEncoder().encode(content) : content;
  return Buffer.concat([Uint8Array.from([...varint(field * 8 + 2), ...varint(data.length)]), data]);
}
const message = (field: number, ...fields: Field[]): Field => bytes(field, Buffer.concat(fields));

const [FLOAT, INT64] = [1, 7];

function tensor(name: string, dims: readonly number[], values: Float32Array | BigInt64Array): Field {
  const type = values instanceof Float32Array ? FLOAT : INT64;
  const raw = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return message(5, ...dims.map((dim) => number(1, dim)), number(2, type), bytes(8, name), bytes(9, raw));
}

function value(field: 11 | 12, name: string, dims: readonly number[]): Field {
  const shape = message(2, ...dims.map((dim) => message(1, number(1, dim))));
  return message(field, bytes(1, name), message(2, message(1, number(1, FLOAT), shape)));
}

function node(op: string, inputs: readonly string[], output: string, axis?: number): Field {
  const attribute = axis === undefined ? [] : [message(5, bytes(1, "axis"), number(3, axis), number(20, 2))];
  const names = inputs.map((name) => bytes(1, name));
  return message(1, ...names, bytes(2, output), bytes(3, `${op} ${output}`), bytes(4, op), ...attribute);
}

function model(...graph: Field[]): Uint8Array {
  return Buffer.concat([
    number(1, 8),
    message(8, bytes(1, ""), number(2, 13)),
    message(7, bytes(2, "g"), ...graph),
  ]);
}

/** Paddle's export: rows of [class, score, left, top, right, bottom, order], given in the 800 x 800 that it reads. */
export function rowsModel(rows: readonly (readonly number[])[]): Uint8Array {
  return model(
    node("Gather", ["scale_factor", "places"], "scales", 1),
    node("Concat", ["ones", "scales", "one"], "divisors", 1),
    node("Div", ["rows", "divisors"], "fetch_name_0"),
    tensor("rows", [rows.length, 7], Float32Array.from(rows.flat())),
    tensor("places", [4], BigInt64Array.of(1n, 0n, 1n, 0n)),
    tensor("ones", [1, 2], Float32Array.of(1, 1)),
    tensor("one", [1, 1], Float32Array.of(1)),
    value(11, "im_shape", [1, 2]),
    value(11, "image", [1, 3, 800, 800]),
    value(11, "scale_factor", [1, 2]),
    value(12, "fetch_name_0", [rows.length, 7]),
  );
}

export interface Query {
  readonly classNumber: number;
  /** Before the sigmoid. */
  readonly logit: number;
  /** Centre and size, in shares of the page. */
  readonly box: readonly [x: number, y: number, width: number, height: number];
}

const [QUERIES, CLASSES] = [300, 25];

/** The export of transformers: logits and boxes of 300 queries, which are read in their order here. */
export function queriesModel(queries: readonly Query[], { withOrder = true } = {}): Uint8Array {
  const logits = new Float32Array(QUERIES * CLASSES).fill(-20);
  const boxes = new Float32Array(QUERIES * 4).fill(0.5);
  const order = new Float32Array(QUERIES * QUERIES);
  for (const [index, { classNumber, logit, box }] of queries.entries()) {
    logits[index * CLASSES + classNumber] = logit;
    boxes.set(box, index * 4);
  }
  // Above the diagonal: how sure it is that the one of the row comes before that of the column. Here: the later first.
  for (let row = 0; row < QUERIES; row++) order.fill(-9, row * QUERIES + row + 1, (row + 1) * QUERIES);
  const outputs = [
    ["logits", [1, QUERIES, CLASSES], logits],
    ["pred_boxes", [1, QUERIES, 4], boxes],
    ...(withOrder ? [["order_logits", [1, QUERIES, QUERIES], order] as const] : []),
  ] as const;
  return model(
    ...outputs.flatMap(([name, dims, values]) => [
      node("Identity", [`stored_${name}`], name),
      tensor(`stored_${name}`, dims, values),
      value(12, name, dims),
    ]),
    value(11, "pixel_values", [1, 3, 800, 800]),
  );
}

/** One that is something else. */
export function otherModel(): Uint8Array {
  return model(
    node("Identity", ["image"], "y"),
    value(11, "image", [1, 3, 800, 800]),
    value(12, "y", [1, 3, 800, 800]),
  );
}
