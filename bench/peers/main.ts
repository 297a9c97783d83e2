/** `npm run bench:peers`: glimt beside the other ways to run the same model on the same processor. */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { BOUTS } from "./bouts.ts";
import { commandOf } from "./commands.ts";
import { Files } from "./files.ts";
import { describeHost } from "./host.ts";
import { measure } from "./measure.ts";
import { ceilingLines, hostLines, judgementLines, legLines } from "./table.ts";
import { exitCode, judgeAll, LARGE_VISION } from "./targets.ts";

const HELP = `node bench/peers/run.mjs [options]

  --install          install the peers that come from npm into bench/peers/node_modules, then end
  --quick            4 decoder layers, 2 blocks of the tower, 2 turns, no large page: a look within minutes
  --layers N         decoder layers instead of GLM-OCR's 16, for everyone
  --depth N          blocks of the vision tower instead of 24, for everyone
  --checkpoint DIR   a checkpoint instead of random weights in GLM-OCR's sizes (made once, under build/peers)
  --only WORD        only bouts whose name contains it (${BOUTS.map(({ name }) => name).join("; ")})
  --threads N        only cases on so many threads: 1 tells something on a busy machine too, 2 does not
  --turns N          of each contestant in each case (default 5)
  --seconds N        after which a contestant takes no further turn in a case (default 30)
  --python PATH      a Python with torch, transformers, gguf and numpy (default python3)
  --chromium PATH    for wllama (default /usr/bin/chromium)
  --json FILE        all samples, ceilings and judgements

Times are medians of turns taken one after another; on one thread a process' own processor time where it is told,
on several the clock. A peer that can not run says why in its row. Ends with 1 when a row that holds for this host's
class was missed; rows that were not measured do not count.`;

const { values: flags } = parseArgs({
  options: {
    help: { type: "boolean", short: "h" },
    quick: { type: "boolean" },
    layers: { type: "string" },
    depth: { type: "string" },
    checkpoint: { type: "string" },
    only: { type: "string" },
    threads: { type: "string" },
    turns: { type: "string" },
    seconds: { type: "string" },
    python: { type: "string", default: "python3" },
    chromium: { type: "string", default: "/usr/bin/chromium" },
    json: { type: "string" },
    /** Set by run.mjs. */
    bundles: { type: "string", default: "" },
  },
});

if (flags.help) console.log(HELP);
else process.exitCode = await main();

async function main(): Promise<0 | 1> {
  const { quick, only = "", python, chromium, bundles } = flags;
  const layers = whole("layers") ?? (quick ? 4 : undefined);
  const depth = whole("depth") ?? (quick ? 2 : undefined);
  const log = (line: string) => console.error(`  ${line}`);
  const print = (lines: readonly string[]) => console.log(lines.join("\n"));
  const host = describeHost();
  print(hostLines(host));
  const sizes = flags.checkpoint ?? `GLM-OCR, ${layers ?? 16} layers, ${depth ?? 24} blocks`;
  console.log(`${sizes}; ${new Date().toISOString()}`);

  const threads = whole("threads");
  const bouts = BOUTS.filter(({ name }) => name.includes(only))
    .map((bout) => ({
      ...bout,
      cases: bout.cases
        .filter(({ name }) => !quick || name !== LARGE_VISION)
        .map((one) => ({ ...one, threads: one.threads.filter((count) => count === (threads ?? count)) }))
        .filter((one) => one.threads.length > 0),
    }))
    .filter(({ cases }) => cases.length > 0);
  if (bouts.length === 0) throw new Error("Nothing is left to measure: see --only, --threads and --quick.");
  const files = new Files({ python, layers, depth, checkpoint: flags.checkpoint, log });
  const programs = { python, chromium, bundles };
  const measured = await measure(bouts, {
    command: (contestant) => commandOf(contestant, files, programs),
    kernels: commandOf({ name: "ceilings", kind: "kernels", setting: "" }, files, programs),
    turns: whole("turns") ?? (quick ? 2 : 5),
    seconds: whole("seconds") ?? (quick ? 5 : 30),
    log,
    onLeg: (results, { name }, threads) => print(legLines(results, name, threads)),
  });

  const judgements = judgeAll(measured.results, host.class);
  const after = describeHost();
  console.log("");
  for (const [name, about] of measured.programs) console.log(`${name}: ${about}`);
  for (const { judge, contestant, same, of } of measured.agreements) {
    console.log(`${contestant} chose ${same} of ${of} tokens as ${judge} did, from the same ones before`);
  }
  print(ceilingLines(measured.results));
  console.log(
    `load over the last minute: ${host.load.toFixed(2)} before, ${after.load.toFixed(2)} after (this run included)`,
  );
  print(judgementLines(judgements));
  if (flags.json !== undefined) {
    const { outcomes, legs } = measured.results;
    const about = { host, after, sizes, programs: Object.fromEntries(measured.programs) };
    const report = { ...about, agreements: measured.agreements, legs, outcomes, judgements };
    writeFileSync(flags.json, `${JSON.stringify(report, null, 1)}\n`);
  }
  return exitCode(judgements);
}

function whole(name: "layers" | "depth" | "threads" | "turns" | "seconds"): number | undefined {
  const given = flags[name];
  if (given === undefined) return undefined;
  const value = Number(given);
  if (!Number.isInteger(value) || value < 1)
    throw new Error(`--${name} is ${given}, expected a whole number from 1.`);
  return value;
}
