/** A process of `npm run fuzz`: reads damaged files as it is told and reports what came of them. */
import { writeFileSync } from "node:fs";
import { GlimtError } from "../../src/errors.ts";
import { mutated, randomAt } from "./mutate.ts";
import { READERS } from "./readers.ts";

export interface Order {
  readonly reader: string;
  readonly seed: number;
  readonly first: number;
  readonly count: number;
  /** Where the last file is written to. */
  readonly keep?: string;
}

export interface Report {
  readonly accepted: number;
  readonly refused: number;
  readonly slowest: { readonly index: number; readonly milliseconds: number };
  readonly wrong: readonly { readonly index: number; readonly what: string }[];
}

async function obey({ reader: name, seed, first, count, keep }: Order): Promise<Report> {
  const reader = READERS[name];
  if (!reader) throw new Error(`there is no reader "${name}"`);
  let [accepted, refused] = [0, 0];
  let slowest = { index: first, milliseconds: 0 };
  const wrong: { index: number; what: string }[] = [];
  for (let index = first; index < first + count; index++) {
    const bytes = mutated(reader.seeds, reader.words ?? [], randomAt(seed, index));
    if (keep) writeFileSync(keep, bytes);
    const start = performance.now();
    try {
      await reader.read(bytes);
      accepted += 1;
    } catch (error) {
      if (error instanceof GlimtError) refused += 1;
      else
        wrong.push({ index, what: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    }
    const milliseconds = performance.now() - start;
    if (milliseconds > slowest.milliseconds) slowest = { index, milliseconds };
  }
  return { accepted, refused, slowest, wrong };
}

process.on("message", (order: Order | "names") => {
  if (order === "names") {
    const empty = Object.entries(READERS).filter(([, { seeds }]) => seeds.length === 0);
    process.send?.({ names: Object.keys(READERS), empty: empty.map(([name]) => name) });
  } else {
    obey(order).then((report) => process.send?.(report));
  }
});
