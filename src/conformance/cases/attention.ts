/** kv_write, attention_paged, rope_attention_paged, attention_weights, attention_varlen */
import { offsetDim, symbolDim } from "../../tensor/dims.ts";
import { CACHE_DTYPES, type CacheDType } from "../../tensor/dtype.ts";
import { holdsColumns } from "../../tensor/storage.ts";
import { M, type OpCase, type OpCases, type Operand, opCase, ROW_COUNTS, S, T } from "../case.ts";
import { each, fixed, normal, strided } from "../operands.ts";
import { Random } from "../random.ts";
import { rotation } from "./rope.ts";

const PAGES = symbolDim("pages");
const R = symbolDim("r");

const KV_MEMORY: readonly (readonly ["whole" | "strided", CacheDType?])[] = [
  ["whole"],
  ["strided"],
  ...CACHE_DTYPES.map((cache) => ["whole", cache] as const),
];

function holdsHeads(headDim: number, cache: CacheDType | undefined): boolean {
  return !cache || holdsColumns(cache, headDim);
}

function kvWriteCases(): OpCase[] {
  return ROW_COUNTS.flatMap((t) =>
    (
      [
        [1, 8, 4],
        [2, 64, 16],
        [4, 96, 5],
        [8, 128, 16],
      ] as const
    ).flatMap(([numKvHeads, headDim, pageSize]) =>
      KV_MEMORY.filter(([, cache]) => holdsHeads(headDim, cache)).map(([memory, cache]) => {
        const pages = Math.ceil(t / pageSize) + 2;
        const operand = normal([T, numKvHeads * headDim]);
        const source = memory === "strided" ? strided(operand) : operand;
        return opCase("kv_write", {
          fields: { t, numKvHeads, headDim, pageSize, kv: memory, ...(cache && { cache }) },
          cache,
          symbols: { t, pages },
          attrs: { numKvHeads, headDim, pageSize },
          operands: {
            k: source,
            v: source,
            // Scattered places; every fifth token is padding, which must not be stored.
            slots: {
              shape: [T],
              fill: (random, count) =>
                random
                  .permutation(pages * pageSize)
                  .slice(0, count)
                  .map((slot, index) => (index % 5 === 3 ? -1 : slot)),
            },
            cache: normal([PAGES, 2 * numKvHeads * pageSize * headDim]),
          },
          exact: true,
        });
      }),
    ),
  );
}

/** Runs of rows: one, several, empty ones, past a tile. */
const RUNS = [[1], [5], [65], [130], [1, 7, 9], [0, 3, 0, 17, 0], [64, 4]] as const;

function attentionVarlenCases(): OpCase[] {
  const build = (
    runs: readonly number[],
    [numHeads, headDim]: readonly [number, number],
    memory: "whole" | "strided",
    logits: "usual" | "large",
  ) => {
    const bounds = cumulative(runs);
    const operand = (scale = 1) => {
      const values = normal([M, numHeads * headDim], { scale });
      return memory === "strided" ? strided(values, 4, numHeads * headDim) : values;
    };
    return opCase("attention_varlen", {
      fields: { runs: runs.join("+"), numHeads, headDim, qkv: memory, logits },
      symbols: { m: bounds.at(-1) as number, s: runs.length },
      attrs: { numHeads, headDim, scale: 1 / Math.sqrt(headDim) },
      operands: {
        q: operand(logits === "large" ? 40 : 1),
        k: operand(),
        v: operand(),
        cuSeqlens: fixed([offsetDim(S, 1)], bounds),
      },
    });
  };
  const heads = [
    [1, 8],
    [3, 64],
    [2, 96],
    [2, 128],
    [2, 20],
  ] as const;
  return [
    ...RUNS.flatMap((runs) => heads.map((head) => build(runs, head, "whole", "usual"))),
    ...heads.map((head) => build([9, 33], head, "strided", "usual")),
    ...heads.map((head) => build([17], head, "whole", "large")),
    build([300], [2, 64], "whole", "usual"),
    build([300, 200], [1, 128], "whole", "usual"),
    build([], [2, 8], "whole", "usual"),
  ];
}

/** Sequences as "queries of context": decode is 1 of n, prefill n of n, a chunk lies between. */
const BATCHES = [
  ["1/1"],
  ["1/17"],
  ["1/300"],
  ["7/7"],
  ["33/33"],
  ["65/65"],
  ["5/21"],
  ["17/80"],
  ["1/40", "9/9", "4/23", "1/1", "16/16"],
  ["1/16", "1/33", "1/5", "1/64"],
  ["2/19", "0/6", "3/3"],
] as const;

/** [numHeads, numKvHeads, headDim] */
const HEAD_GROUPS = [
  [1, 1, 8],
  [4, 4, 64],
  [8, 2, 64],
  [4, 1, 96],
  [16, 1, 128],
  [6, 2, 20],
] as const;

function attentionPagedCases(): OpCase[] {
  const usual = BATCHES.flatMap((batch) =>
    HEAD_GROUPS.flatMap((heads) => pagedCase(batch, heads, 16, "whole", "usual")),
  );
  const pageSizes = [1, 4, 5, 32].map((pageSize) =>
    pagedCase(["1/40", "9/9", "4/23"], [4, 2, 16], pageSize, "whole", "usual"),
  );
  const views = HEAD_GROUPS.map((heads) => pagedCase(["3/20", "1/9"], heads, 16, "strided", "usual"));
  const long = (
    [
      [
        ["1/1100", "130/300"],
        [8, 2, 64],
      ],
      [["1/1100"], [16, 1, 64]],
      [
        ["1/1100", "2/900"],
        [16, 1, 16],
      ],
      [["1/1100"], [40, 1, 16]],
      [
        ["1/700", "1/1100", "0/5"],
        [6, 3, 128],
      ],
      [
        ["200/200", "150/420"],
        [2, 1, 128],
      ],
    ] as const
  ).map(([batch, heads]) => pagedCase(batch, heads, 16, "whole", "usual"));
  const large = HEAD_GROUPS.map((heads) => pagedCase(["3/20", "1/50"], heads, 16, "whole", "large"));
  const stored = CACHE_DTYPES.flatMap((cache) => [
    ...(
      [
        [4, 4, 64],
        [8, 2, 80],
        [4, 2, 128],
        [16, 1, 128],
        [6, 2, 20],
        [3, 1, 7],
        [6, 2, 21],
        [3, 1, 32],
        [2, 2, 96],
        [2, 1, 160],
      ] as const
    )
      .filter(([, , headDim]) => holdsHeads(headDim, cache))
      .flatMap((heads) =>
        ([["1/1"], ["1/300"], ["7/7", "1/17", "33/40"]] as const).map((batch) =>
          pagedCase(batch, heads, 16, "whole", "usual", cache),
        ),
      ),
    ...[1, 5, 32].map((pageSize) =>
      pagedCase(["1/140", "9/9", "4/23"], [4, 2, 64], pageSize, "whole", "usual", cache),
    ),
    pagedCase(["3/20", "1/50"], [4, 2, 128], 16, "strided", "large", cache),
    pagedCase(["200/200", "150/420", "1/1100"], [2, 1, 128], 16, "whole", "usual", cache),
    ...(["q", "cache"] as const).map((name) =>
      notFiniteCase(pagedCase(["1/1", "3/20", "1/150"], [4, 2, 64], 16, "whole", "usual", cache), name),
    ),
  ]);
  return [
    ...usual,
    ...stored,
    ...pageSizes,
    ...views,
    ...large,
    ...long,
    pagedCase([], [4, 2, 8], 16, "whole", "usual"),
  ];
}

function pagedCase(
  batch: readonly string[],
  [numHeads, numKvHeads, headDim]: readonly [number, number, number],
  pageSize: number,
  memory: "whole" | "strided",
  logits: "usual" | "large",
  cache?: CacheDType,
): OpCase {
  const { tokens, symbols, layout, operands } = pagedSequences(batch, pageSize);
  const q = normal([T, numHeads * headDim], { scale: logits === "large" ? 40 : 1 });
  return opCase("attention_paged", {
    fields: {
      batch: batch.join("+"),
      numHeads,
      numKvHeads,
      headDim,
      pageSize,
      q: memory,
      logits,
      ...(cache && { cache }),
    },
    cache,
    symbols: { t: tokens, ...symbols },
    attrs: { numHeads, numKvHeads, headDim, pageSize, scale: 1 / Math.sqrt(headDim) },
    operands: {
      q: memory === "strided" ? strided(q) : q,
      cache: cacheOperand(2 * numKvHeads, headDim, pageSize, layout.usedSlots),
      ...operands,
    },
  });
}

/** The same with NaN in the middle of an operand, and infinity at its end. */
function notFiniteCase(test: OpCase, name: "q" | "cache"): OpCase {
  const operand = test.operands[name] as Operand;
  const fill: Operand["fill"] = (random, count) => {
    const values = Float64Array.from(operand.fill(random, count));
    const numbers = [...values.keys()].filter((index) => Number.isFinite(values[index]));
    values[numbers[numbers.length >> 1] as number] = Number.NaN;
    values[numbers.at(-1) as number] = Number.POSITIVE_INFINITY;
    return values;
  };
  return {
    ...test,
    fields: { ...test.fields, "not finite": name },
    operands: { ...test.operands, [name]: { ...operand, fill } },
  };
}

/** [numHeads, numKvHeads, headDim, rotaryDim] */
const ROTATED_HEADS = [
  [1, 1, 8, 8],
  [4, 4, 64, 32],
  [8, 2, 64, 64],
  [4, 1, 96, 48],
  [16, 1, 128, 128],
  [6, 2, 20, 10],
  [3, 3, 7, 4],
] as const;

function ropeAttentionPagedCases(): OpCase[] {
  const build = (
    batch: readonly string[],
    [numHeads, numKvHeads, headDim, rotaryDim]: readonly [number, number, number, number],
    pairs: "interleaved" | "half",
    memory: "whole" | "merged" | "strided",
    skipped = false,
  ) => {
    const pageSize = 16;
    const { tokens, symbols, layout, operands, newSlots } = pagedSequences(batch, pageSize);
    const written = newSlots.map((slot, token) => (skipped && token % 3 === 1 ? -1 : slot));
    // A place that this step fills must not be read before: it holds NaN until then.
    const usedSlots = new Set([...layout.usedSlots].filter((slot) => !written.includes(slot)));
    const heads = (count: number, before: number) => {
      const operand = normal([T, count * headDim]);
      if (memory === "strided") return strided(operand);
      // As in the output of one linear.
      const others = (numHeads + 2 * numKvHeads - count) * headDim - before;
      return memory === "merged" ? strided(operand, before, others) : operand;
    };
    return opCase("rope_attention_paged", {
      fields: {
        batch: batch.join("+"),
        numHeads,
        numKvHeads,
        headDim,
        rotaryDim,
        pairs,
        qkv: memory,
        ...(skipped && { slots: "some skipped" }),
      },
      symbols: { t: tokens, ...symbols },
      attrs: { numHeads, numKvHeads, headDim, rotaryDim, pairs, pageSize, scale: 1 / Math.sqrt(headDim) },
      operands: {
        q: heads(numHeads, 0),
        k: heads(numKvHeads, numHeads * headDim),
        v: heads(numKvHeads, (numHeads + numKvHeads) * headDim),
        ...rotation(T, rotaryDim / 2),
        slots: fixed([T], written),
        cache: cacheOperand(2 * numKvHeads, headDim, pageSize, usedSlots),
        ...operands,
      },
    });
  };
  return (["interleaved", "half"] as const).flatMap((pairs) =>
    ROTATED_HEADS.flatMap((heads) => [
      ...[["1/1"], ["1/17"], ["7/7"], ["65/80"], ["2/19", "0/6", "3/3"]].map((batch) =>
        build(batch, heads, pairs, "whole"),
      ),
      ...(["merged", "strided"] as const).flatMap((memory) =>
        [["1/300"], ["1/16", "1/33", "1/5", "1/64"], ["9/40", "1/9"]].map((batch) =>
          build(batch, heads, pairs, memory),
        ),
      ),
      build(["1/40", "5/9"], heads, pairs, "whole", true),
      build([], heads, pairs, "whole"),
    ]),
  );
}

/** Sequences as "keys that a row sees of a context": another row, but of the last one, sees all of them. */
const ROWS_SEEING = [
  ["1/1"],
  ["17/17"],
  ["300/300"],
  ["1100/1100", "256/700", "0/5"],
  ["3/21", "21/21", "40/40", "5/9"],
] as const;

function attentionWeightsCases(): OpCase[] {
  const build = (
    rows: readonly string[],
    [numHeads, numKvHeads, headDim]: readonly [number, number, number],
    { pageSize = 16, memory = "whole", logits = "usual", cache }: WeightsFields = {},
  ) => {
    const seen = rows.map((text) => text.split("/").map(Number) as [length: number, context: number]);
    const layout = pageLayout(
      seen.map(([, context]) => context),
      pageSize,
    );
    // In another order than the sequences.
    const sequences = [...seen.keys()]
      .reverse()
      .flatMap((sequence) => [sequence, sequence])
      .slice(1);
    const lengths = sequences.map((sequence, row) => seen[sequence]?.[row % 2] as number);
    const q = normal([R, numHeads * headDim], { scale: logits === "large" ? 40 : 1 });
    return opCase("attention_weights", {
      fields: {
        rows: rows.join("+"),
        numHeads,
        numKvHeads,
        headDim,
        pageSize,
        q: memory,
        logits,
        ...(cache && { cache }),
      },
      cache,
      symbols: { r: lengths.length, s: seen.length, pages: layout.pages },
      attrs: { numHeads, numKvHeads, headDim, pageSize, scale: 1 / Math.sqrt(headDim) },
      operands: {
        q: memory === "strided" ? strided(q) : q,
        cache: cacheOperand(2 * numKvHeads, headDim, pageSize, layout.usedSlots),
        blockTable: fixed([S, layout.blocks], layout.blockTable),
        sequences: fixed([R], sequences),
        lengths: fixed([R], lengths),
      },
    });
  };
  return [
    ...ROWS_SEEING.flatMap((rows) => HEAD_GROUPS.map((heads) => build(rows, heads))),
    ...[1, 5, 32].map((pageSize) => build(["30/40", "9/9"], [4, 2, 16], { pageSize })),
    ...HEAD_GROUPS.map((heads) => build(["3/20"], heads, { memory: "strided", logits: "large" })),
    ...CACHE_DTYPES.flatMap((cache) =>
      (
        [
          [8, 2, 80],
          [4, 2, 128],
          [3, 1, 21],
          [2, 1, 32],
        ] as const
      )
        .filter(([, , headDim]) => holdsHeads(headDim, cache))
        .map((heads) => build(["7/17", "300/300"], heads, { cache })),
    ),
    ...(["q", "cache"] as const).map((name) => notFiniteCase(build(["3/20", "1/150"], [4, 2, 64]), name)),
    build([], [4, 2, 8]),
  ];
}

interface WeightsFields {
  readonly pageSize?: number;
  readonly memory?: "whole" | "strided";
  readonly logits?: "usual" | "large";
  readonly cache?: CacheDType;
}

/** The index operands of sequences given as "queries of context", and where their new tokens go. */
function pagedSequences(batch: readonly string[], pageSize: number) {
  const sequences = batch.map((text) => text.split("/").map(Number) as [queries: number, context: number]);
  const contexts = sequences.map(([, context]) => context);
  const bounds = cumulative(sequences.map(([queries]) => queries));
  const layout = pageLayout(contexts, pageSize);
  const newSlots = sequences.flatMap(([queries, context], sequence) =>
    Array.from({ length: queries }, (_, query) => {
      const position = context - queries + query;
      const block = sequence * layout.blocks + Math.floor(position / pageSize);
      return (layout.blockTable[block] as number) * pageSize + (position % pageSize);
    }),
  );
  return {
    tokens: bounds.at(-1) as number,
    symbols: { s: sequences.length, pages: layout.pages },
    layout,
    newSlots,
    operands: {
      blockTable: fixed([S, layout.blocks], layout.blockTable),
      cuSeqlens: fixed([offsetDim(S, 1)], bounds),
      contextLens: fixed([S], contexts),
    },
  };
}

/** Places that are not used hold NaN, as a cache may after another sequence: they must not be read. */
function cacheOperand(planes: number, headDim: number, pageSize: number, usedSlots: ReadonlySet<number>) {
  const rowSize = planes * pageSize * headDim;
  return each([PAGES, rowSize], (index, random) => {
    const place = Math.floor(index / headDim) % pageSize;
    const slot = Math.floor(index / rowSize) * pageSize + place;
    return usedSlots.has(slot) ? random.normal() : Number.NaN;
  });
}

/** Pages given out in random order, with spare ones; entries past a context are -1. */
function pageLayout(contexts: readonly number[], pageSize: number) {
  const pagesOf = contexts.map((context) => Math.ceil(context / pageSize));
  const blocks = Math.max(1, ...pagesOf) + 1;
  const pages = pagesOf.reduce((sum, count) => sum + count, 0) + 3;
  const order = new Random(`pages ${contexts} ${pageSize}`).permutation(pages);
  const usedSlots = new Set<number>();
  const blockTable = contexts.flatMap((context) => {
    const row = new Array<number>(blocks).fill(-1);
    for (let position = 0; position < context; position++) {
      const block = Math.floor(position / pageSize);
      if (position % pageSize === 0) row[block] = order.pop() as number;
      usedSlots.add((row[block] as number) * pageSize + (position % pageSize));
    }
    return row;
  });
  return { pages, blocks, blockTable, usedSlots };
}

function cumulative(lengths: readonly number[]): number[] {
  const bounds = [0];
  for (const length of lengths) bounds.push((bounds.at(-1) as number) + length);
  return bounds;
}

export const attentionCases = {
  kv_write: kvWriteCases,
  attention_varlen: attentionVarlenCases,
  attention_paged: attentionPagedCases,
  rope_attention_paged: ropeAttentionPagedCases,
  attention_weights: attentionWeightsCases,
} satisfies OpCases;
