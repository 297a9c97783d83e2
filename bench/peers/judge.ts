/**
 * `npm run judge:llama`: llama.cpp reads the GGUF files of the tests, widened to float32 and with a float32 cache, and is
 * asked for the tokens that transformers chose, each behind the same ones; so is glimt, from the files as they are.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { openModelOn } from "../../src/api/load-model.ts";
import { nodeFiles, wasmBackend } from "../../src/node-files.ts";
import { forcedLogits } from "../../src/verify/forced-answer.ts";
import { ggufModels } from "../../test/golden/gguf-models.ts";
import { goldenCase } from "../../test/golden/load.ts";
import { argmax } from "../../test/models/difference.ts";
import { Peer } from "./peer.ts";

const { values: flags } = parseArgs({
  options: {
    python: { type: "string", default: process.env.GLIMT_PYTHON ?? "python3" },
    /** Set by run.mjs. */
    gguf: { type: "boolean" },
    bundles: { type: "string" },
  },
});

const FOLDER = resolve("bench/peers");
/** As many as were recorded for the files in blocks. */
const STEPS = 12;

if (!existsSync(join(FOLDER, "node_modules/node-llama-cpp"))) {
  throw new Error("node-llama-cpp is not installed: node bench/peers/run.mjs --install");
}
const temporary = mkdtempSync(join(tmpdir(), "glimt-judge-"));
process.on("exit", () => rmSync(temporary, { recursive: true, force: true }));

console.log(
  `next tokens alike, of ${STEPS}, each behind those that transformers chose: text, float32 weights`,
);
let isWrong = false;
for (const { name, base, file, parts, greedyIds } of ggufModels("text")) {
  const { inputIds } = goldenCase(base, "text");
  const expected = greedyIds.slice(0, STEPS);
  const own = await ofGlimt(file, inputIds, expected);
  const { tokens, about } = await ofLlama(name, parts, inputIds, expected).catch((error: Error) => ({
    tokens: [],
    about: error.message,
  }));
  const alike = (found: readonly number[]) => found.filter((token, step) => token === expected[step]).length;
  console.log(`${name.padEnd(22)} glimt ${alike(own)}   llama.cpp ${alike(tokens)}   ${about}`);
  isWrong ||= alike(own) !== STEPS || alike(tokens) !== STEPS;
}
process.exitCode = isWrong ? 1 : 0;

async function ofGlimt(file: string, inputIds: readonly number[], tokens: readonly number[]) {
  const platform = { ...nodeFiles, backends: [wasmBackend] };
  const { core } = await openModelOn(platform, file, {
    backend: "wasm",
    dtype: "f32",
  });
  try {
    return (await forcedLogits(core, { inputIds }, tokens)).map(argmax);
  } finally {
    await core.dispose();
  }
}

async function ofLlama(
  name: string,
  parts: readonly string[],
  ids: readonly number[],
  forced: readonly number[],
) {
  const file = join(temporary, `${name}.gguf`);
  execFileSync(flags.python, [join(FOLDER, "widen_gguf.py"), file, ...parts], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  const peer = new Peer({ program: process.execPath, args: ["llama.mjs", file, "F32"], cwd: FOLDER });
  try {
    const { about = "" } = await peer.ask("about", {});
    const { tokens = [] } = await peer.ask("decode", { ids, forced, steps: forced.length, threads: 1 });
    return { about: about.split(",")[0], tokens };
  } finally {
    await peer.end();
  }
}
