/** The comparison with other programs, without any of them: what it makes of figures, and how it talks to processes. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Bout } from "../../bench/peers/bouts.ts";
import { hostClass } from "../../bench/peers/host.ts";
import { measure } from "../../bench/peers/measure.ts";
import { type Command, Peer } from "../../bench/peers/peer.ts";
import { type Outcome, outcomeMs, outcomeReading, Results } from "../../bench/peers/results.ts";
import { ceilingLines, judgementLines, legLines } from "../../bench/peers/table.ts";
import { DECODE, exitCode, judgeAll, PREFILL, TARGETS } from "../../bench/peers/targets.ts";

function outcome(name: string, contestant: string, threads: number, ms: number, rest: Partial<Outcome> = {}) {
  return { bout: "text", case: name, contestant, threads, turns: [[{ ms }]], ...rest };
}

function results(outcomes: readonly Outcome[], read = 30e9): Results {
  const made = new Results();
  made.outcomes.push(...outcomes);
  for (const threads of [1, 2]) {
    const ceilings = { multiplyAdd: threads * 50e9, read };
    made.legs.push({ bout: "text", threads, before: ceilings, after: ceilings });
  }
  return made;
}

/** A peer whose answers are those of a piece of JavaScript: `answer(request)`, or whatever it does instead. */
function script(code: string): Command {
  const loop = `require("node:readline").createInterface({ input: process.stdin }).on("line", (line) => {
    const request = JSON.parse(line);
    const answer = (value) => console.log(JSON.stringify({ id: request.id, ...value }));
    ${code}
  }).on("close", () => process.exit(0));`;
  return { program: process.execPath, args: ["-e", loop], cwd: process.cwd() };
}

test("a target of another class of host is shown, and does not count", () => {
  const found = results([outcome(PREFILL, "llama.cpp Q8_0", 2, 90), outcome(PREFILL, "glimt q8", 2, 100)]);
  const verdicts = (host: "AVX-512" | "AVX2") =>
    judgeAll(found, host)
      .filter(({ title }) => title.startsWith("q8 prefill"))
      .map(({ host: holdsFor, found: figure, verdict }) => [holdsFor, figure, verdict].join(" "));
  assert.equal(verdicts("AVX-512"), ["AVX2 0.900 other host", "AVX-512 0.900 pass"]);
  assert.equal(verdicts("AVX2"), ["AVX2 0.900 FAIL", "AVX-512 0.900 other host"]);
  assert.is(exitCode(judgeAll(found, "AVX-512")), 0);
  assert.is(exitCode(judgeAll(found, "AVX2")), 1);
});

test("what is missed, and would be at the ceilings of the run too, is a limit and no failure", () => {
  const judged = (glimtMs: number, operations: number) => {
    const found = results([
      outcome(PREFILL, "llama.cpp Q8_0", 2, 80),
      outcome(PREFILL, "glimt q8", 2, glimtMs, { operations }),
    ]);
    for (const [index, { before, ...leg }] of found.legs.entries()) {
      const ceilings = { ...before, q8Product: 1e9 };
      found.legs[index] = { ...leg, before: ceilings, after: ceilings };
    }
    const judgements = judgeAll(found, "AVX-512").filter(({ verdict }) => verdict !== "not measured");
    const { found: figure, verdict } = judgements.find(({ host }) => host === "AVX-512") ?? {};
    return [figure, verdict, exitCode(judgements)];
  };
  assert.equal(judged(90, 1e8), ["0.889", "pass", 0]);
  assert.equal(judged(110, 1e8), ["0.727 of 0.800", "limit", 0]);
  assert.equal(judged(110, 9e7), ["0.727 of 0.889", "FAIL", 1]);
});

test("without measurements nothing passes and nothing fails", () => {
  const judged = judgeAll(new Results(), "AVX-512");
  assert.is(judged.length, TARGETS.length);
  assert.ok(judged.every(({ verdict }) => verdict === "not measured"));
  assert.is(exitCode(judged), 0);
});

test("decoding passes by its speed beside llama.cpp, or by its share of reading", () => {
  const verdict = (glimtMs: number, llamaMs: number, bytes: number) => {
    const glimt = outcome(DECODE, "glimt q8", 2, glimtMs, { bytes, readings: [30e9] });
    const found = judgeAll(results([glimt, outcome(DECODE, "llama.cpp Q8_0", 2, llamaMs)]), "other");
    return found.find(({ title, expected }) => title.startsWith("q8 decode") && /llama/.test(expected))
      ?.verdict;
  };
  assert.is(verdict(20, 24, 3e8), "pass");
  assert.is(verdict(20, 18, 5.6e8), "pass");
  assert.is(verdict(20, 18, 3e8), "FAIL");
});

test("a figure is the median of turns, by processor time on one thread alone", () => {
  const turns = [5, 9, 7].map((ms) => [{ ms: 10 * ms, cpuMs: ms }]);
  assert.is(outcomeMs({ bout: "", case: "", contestant: "", threads: 1, turns }), 7);
  assert.is(outcomeMs({ bout: "", case: "", contestant: "", threads: 2, turns }), 70);
  assert.is(outcomeMs({ bout: "", case: "", contestant: "", threads: 2, turns: [] }), undefined);
});

test("a share of reading is the median of turns, each beside what was read then", () => {
  const turns = [10, 20, 10].map((ms) => [{ ms }]);
  const found = { bout: "", case: "", contestant: "", threads: 2, turns, bytes: 3e8 };
  assert.is(outcomeReading({ ...found, readings: [60e9, 30e9, 60e9] }), 0.5);
  assert.is(outcomeReading({ ...found, readings: [60e9, 20e9, 40e9] }), 0.75);
  assert.is(outcomeReading({ ...found, readings: [0, 60e9, 30e9] }), 0.625);
  assert.is(outcomeReading({ ...found, readings: [0, 0, 0] }), undefined);
  assert.is(outcomeReading(found), undefined);
});

test("the host's class is that of its widest vectors", () => {
  assert.is(hostClass(["avx", "avx2", "avx512f"]), "AVX-512");
  assert.is(hostClass(["avx", "avx2", "avx_vnni"]), "AVX2");
  assert.is(hostClass(["asimd"]), "other");
});

test("tables give ratios, why somebody is missing, and ceilings that moved", () => {
  const found = results([
    outcome(DECODE, "glimt q8", 2, 20, { bytes: 3e8, readings: [30e9] }),
    outcome(DECODE, "llama.cpp Q8_0", 2, 30),
    { ...outcome(DECODE, "wllama Q8_0", 2, 0), turns: [], failure: "no Chromium" },
  ]);
  const table = legLines(found, "text", 2).join("\n");
  assert.match(table, /glimt q8 .*20\.00.*50 % read/);
  assert.match(table, /llama\.cpp Q8_0 .*30\.00.*1\.50 x/);
  assert.match(table, /wllama Q8_0 +no Chromium/);
  assert.not.match(ceilingLines(found).join("\n"), /NOISY/);
  found.legs.push({ bout: "vision", threads: 2, before: { read: 30e9 }, after: { read: 20e9 } });
  assert.match(ceilingLines(found).join("\n"), /NOISY: read moved by 33 % around "vision, 2 threads"/);
  assert.match(judgementLines(judgeAll(found, "other")).join("\n"), /q8 decode, 2 threads .* FAIL/);
});

test("a peer's answers, its errors, what libraries print, and its end", async () => {
  const peer = new Peer(
    script(`console.log("{ not an answer"); console.log("loading");
      if (request.task === "wrong") answer({ error: "no such cache" });
      else if (request.task === "die") { console.error("out of memory"); process.exit(3); }
      else answer({ about: request.task + request.threads });`),
  );
  assert.equal(await peer.ask("decode", { threads: 2 }), { about: "decode2" });
  assert.match(await failure(peer.ask("wrong", {})), /no such cache/);
  assert.match(await failure(peer.ask("die", {})), /exit code 3.*out of memory/);
  assert.match(await failure(peer.ask("decode", {})), /exit code 3/);
  await peer.end();
  const thrower = new Peer(script(`throw new RangeError("no such size");`));
  assert.match(await failure(thrower.ask("about", {})), /exit code 1.*RangeError: no such size/);
  const missing = new Peer({ program: "/no/such/program", args: [], cwd: process.cwd() });
  assert.match(await failure(missing.ask("about", {})), /ENOENT/);
  await missing.end();
});

test("contestants take turns; one that fails leaves the others in", async () => {
  const order: string[] = [];
  const bout: Bout = {
    name: "text",
    judge: "glimt q8",
    contestants: ["glimt q8", "llama.cpp Q8_0", "broken"].map((name) => ({
      name,
      kind: "llama",
      setting: name,
    })),
    cases: [{ name: DECODE, task: "decode", request: {}, warmUp: { warm: true }, threads: [2] }],
  };
  const answers = `const ceilings = { read: 30e9 };
    if (request.task !== "decode") answer({ about: "a peer", ceilings });
    else answer({ times: [{ ms: request.warm ? 1000 : 5 }], tokens: request.forced ? [1, 9] : [1, 2], bytes: 100 });`;
  const { results: found, agreements } = await measure([bout], {
    command: ({ name }) => {
      order.push(name);
      if (name === "broken") throw new Error("not installed");
      return script(answers);
    },
    kernels: script(answers),
    turns: 3,
    seconds: 60,
    log: () => {},
    onLeg: () => {},
  });
  assert.equal(order, ["glimt q8", "llama.cpp Q8_0", "broken"]);
  assert.is(found.ms(DECODE, "glimt q8", 2), 5);
  assert.is(found.find(DECODE, "llama.cpp Q8_0", 2)?.turns.length, 3);
  assert.equal(found.find(DECODE, "glimt q8", 2)?.readings, [30e9, 30e9, 30e9]);
  assert.is(found.find(DECODE, "broken", 2)?.failure, "not installed");
  assert.equal(agreements, [{ judge: "glimt q8", contestant: "llama.cpp Q8_0", same: 1, of: 2 }]);
});

const python = process.env.GLIMT_PYTHON ?? "python3";
const hasGguf = spawnSync(python, ["-c", "import gguf, numpy"]).status === 0;
if (!hasGguf) console.log(`skipped: ${python} has no package gguf (GLIMT_PYTHON names another Python)`);

/** Reads the file with the package's own reader, and the checkpoint in its own way. */
const READ = `
import json, struct, sys
import gguf, numpy as np
folder, path = sys.argv[1:]
reader = gguf.GGUFReader(path)
tensors = {tensor.name: tensor for tensor in reader.tensors}
def values(name):
    tensor = tensors[name]
    rows = [int(size) for size in tensor.shape[::-1]]
    return gguf.dequantize(tensor.data, tensor.tensor_type).reshape(rows)
with open(folder + "/model.safetensors", "rb") as file:
    (length,) = struct.unpack("<Q", file.read(8))
    header = json.loads(file.read(length))
def published(name):
    entry = header[name]
    stored = np.fromfile(folder + "/model.safetensors", np.uint8, offset=8 + length)
    bits = stored[slice(*entry["data_offsets"])]
    if entry["dtype"] == "F32":
        return bits.view(np.float32).reshape(entry["shape"])
    if entry["dtype"] == "F16":
        return bits.view(np.float16).astype(np.float32).reshape(entry["shape"])
    return (bits.view(np.uint16).astype(np.uint32) << 16).view(np.float32).reshape(entry["shape"])
text = "model.language_model.layers.1."
q, ours = values("blk.1.attn_q.weight"), published(text + "self_attn.q_proj.weight")
# Row i of a head's first half and of its second turn together: neighbours in the checkpoint.
heads = ours.reshape(4, 64, -1)
apart = np.stack([q.reshape(4, 64, -1)[:, :32], q.reshape(4, 64, -1)[:, 32:]], axis=2).reshape(heads.shape)
down, published_down = values("blk.1.ffn_down.weight"), published(text + "mlp.down_proj.weight")
print(json.dumps({
    "architecture": str(reader.fields["general.architecture"].contents()),
    "layers": int(reader.fields["glm4.block_count"].contents()),
    "sections": [int(part) for part in reader.fields["glm4.rope.dimension_sections"].contents()],
    "tokens": len(reader.fields["tokenizer.ggml.tokens"].contents()),
    "types": {name: tensors[name].tensor_type.name for name in ("output.weight", "blk.1.ffn_down.weight", "output_norm.weight")},
    "count": len(tensors),
    "q": float(np.abs(apart - heads).max()),
    "down": float(np.abs(down - published_down).max() / np.abs(published_down).max()),
}))
`;

const whenGguf = hasGguf ? test : test.skip;
whenGguf("GGUF files read back as the checkpoint's text model, queries with their halves apart", () => {
  const folder = mkdtempSync(join(tmpdir(), "glimt-gguf-"));
  try {
    // Of the largest value: half a step, with its rounding; and a step, which an extreme of the other sign is off.
    for (const [type, bound] of [
      ["f32", 0],
      ["q8_0", 0.5 / 127 + 2 ** -11],
      ["q4_0", 1 / 8 + 2 ** -11],
    ] as const) {
      const path = join(folder, `${type}.gguf`);
      const checkpoint = "examples/demo/checkpoint";
      const mixed = type === "q4_0" ? ["--wider", "q8_0"] : [];
      run(["bench/peers/make_gguf.py", "--checkpoint", checkpoint, "--type", type, "--out", path, ...mixed]);
      const { q, down, types, ...rest } = JSON.parse(run(["-c", READ, checkpoint, path]));
      assert.equal(rest, {
        architecture: "glm4",
        layers: 3,
        sections: [8, 12, 12, 0],
        tokens: 288,
        count: 33,
      });
      assert.equal(types, {
        "output.weight": type === "q4_0" ? "Q8_0" : type.toUpperCase(),
        "blk.1.ffn_down.weight": type.toUpperCase(),
        "output_norm.weight": "F32",
      });
      assert.ok(down <= bound, `${type}: ${down}`);
      if (type === "f32") assert.is(q, 0);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

function run(args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(python, args, { encoding: "utf8" });
  assert.is(status, 0, stderr);
  return stdout;
}

async function failure(task: Promise<unknown>): Promise<string> {
  return task.then(
    () => "nothing failed",
    (error: Error) => error.message,
  );
}

test.run();
