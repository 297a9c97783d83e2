/** What is wrong with what the command was given, said in words, and before the weights are read. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { chatCommand } from "../../src/cli/chat.ts";
import { graphCommand } from "../../src/cli/graph.ts";
import { inspectCommand } from "../../src/cli/inspect.ts";
import { ocrCommand } from "../../src/cli/ocr.ts";
import { planCommand } from "../../src/cli/plan.ts";
import { processCommand } from "../../src/cli/process.ts";
import { runCommand } from "../../src/cli/run.ts";
import { serveCommand } from "../../src/cli/serve.ts";
import { complaint, glimt, IMAGE } from "./command.ts";

const model = "test/golden/data/glm4v-tiny";
const folder = mkdtempSync(join(tmpdir(), "glimt-refusals-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

const COMMANDS: Readonly<Record<string, () => Command>> = {
  chat: chatCommand,
  graph: graphCommand,
  inspect: inspectCommand,
  ocr: ocrCommand,
  plan: planCommand,
  process: processCommand,
  run: runCommand,
  serve: serveCommand,
};

test("what is wrong is said in words, with a code", async () => {
  const truncated = join(folder, "cut.png");
  writeFileSync(truncated, readFileSync(IMAGE).subarray(0, 200));
  const empty = join(folder, "empty.png");
  writeFileSync(empty, "");
  const noMessages = join(folder, "no-messages.json");
  writeFileSync(noMessages, "[null]");
  const cases: [args: string[], message: RegExp][] = [
    [["process", model, "--messages", noMessages], /messages\[0\].*\[INPUT_INVALID\]/],
    [["run", "src", "Hi"], /config\.json.*\[CHECKPOINT_NOT_FOUND\]/],
    [["run", model, "--image", "missing.png", "Hi"], /missing\.png.*\[IMAGE_INVALID\]/],
    [["run", model, "--image", truncated, "Hi"], /cut\.png.*\[IMAGE_INVALID\]/],
    [["run", model, "--image", empty, "Hi"], /empty\.png.*\[IMAGE_INVALID\]/],
    [["run", model], /PROMPT.*\[OPTION_INVALID\]/],
    [["run", model, "Hi", "--max-tokens", "0"], /--max-tokens is 0.*\[OPTION_INVALID\]/],
    [["run", model, "Hi", "--backend", "cuda"], /cuda.*\[BACKEND_UNAVAILABLE\]/],
    [["run", model, "Hi", "--messages", "x.json"], /--messages.*\[OPTION_INVALID\]/],
    [["run", model, "--messages", "x.json"], /x\.json.*\[INPUT_INVALID\]/],
    [["run", model, "Hi", "--dtype", "q3"], /--dtype.*q3.*f32/],
    [["run", model, "Hi", "--activations", "q8"], /--activations.*q8.*bf16/],
    [["run", model, "Hi", "--activations", "f32"], /--activations.*--backend cuda.*\[OPTION_INVALID\]/],
    [["run", model, "Hi", "--backend", "wasm", "--device", "1"], /--device.*\[OPTION_INVALID\]/],
    [["plan", model, "--device", "1"], /--device.*--backend cuda.*\[OPTION_INVALID\]/],
    [["run", model, "Hi", "--backend", "cuda", "--device", "one"], /--device.*one.*whole number/],
    [["run", model, "Hi", "--backend", "cuda", "--device", "1"], /cuda.*\[BACKEND_UNAVAILABLE\]/],
    [
      ["process", model, "--image", IMAGE, "--sources", "inline"],
      /image: Image .*png is not allowed by the option sources.*\[SOURCE_REFUSED\]/,
    ],
    [["run", model, "--image", IMAGE, "--sources", "public"], /\[SOURCE_REFUSED\]/],
    [["run", model, "Hi", "--sources", "all"], /--sources.*any, inline, public/],
    [
      ["process", model, "--image", IMAGE, "--max-source-bytes", "99"],
      /--max-source-bytes.*\[SOURCE_TOO_LARGE\]/,
    ],
    [["process", model, "Hi", "--source-timeout", "0"], /--source-timeout is 0.*\[OPTION_INVALID\]/],
    [["run", model, "Hi", "--kv-cache", "lots"], /--kv-cache.*lots.*512MiB/],
    [["run", model, "Hi", "--backend", "wasm", "--kv-cache", "50%"], /wasm.*fraction.*\[OPTION_INVALID\]/],
    [["run", model, "Hi", "--backend", "wasm", "--kv-cache", "5000GiB"], /\[OUT_OF_MEMORY\]/],
    [
      ["run", model, "Hi", "--adapter", "test/golden/data/lora/glm_ocr-tiny/language"],
      /does not fit Glm4v.*\[ADAPTER_INVALID\]/,
    ],
    [
      ["process", model, "Hi", "--pixels", join(folder, "no", "x.f32")],
      /--pixels.*x\.f32.*\[OPTION_INVALID\]/,
    ],
    [["inspect", "http://127.0.0.1:9/m", "--checkpoint-timeout", "0"], /--checkpoint-timeout is 0/],
    [["graph", "http://127.0.0.1:9/m", "--checkpoint-timeout", "0"], /--checkpoint-timeout is 0/],
    [["graph", model, "--stage", "assembly"], /--stage.*assembly.*program/],
    [["run", model, "Hi", "--seed", ""], /--seed.*It must be a whole number/],
  ];
  for (const [[name = "", ...args], message] of cases) {
    const found = await complaint((COMMANDS[name] as () => Command)(), args);
    assert.match(found, message, args.join(" "));
    assert.not.match(found, /\n/, args.join(" "));
  }
});

test("the command says it in a line or two on stderr alone, and ends with 1", () => {
  const cases: [args: string[], message: RegExp][] = [
    [["run", "no/such/model", "Hi"], /^glimt: .*no\/such\/model.*\[CHECKPOINT_NOT_FOUND\]\n$/],
    [["run", model, "Hi", "--top-p", "3"], /^glimt: --top-p is 3, expected above 0.*\[OPTION_INVALID\]\n$/],
    [["run", model, "Hi", "--frobnicate"], /unknown option '--frobnicate'\nSee glimt run --help\.\n$/],
    [
      ["run", model, "Hi", "--max-token", "3"],
      /unknown option '--max-token'\n\(Did you mean --max-tokens\?\)\nSee glimt run/,
    ],
    [["frobnicate"], /unknown command 'frobnicate'\nSee glimt --help\.\n$/],
    [["serv", "--help"], /unknown command 'serv'\n\(Did you mean serve\?\)\nSee glimt --help\.\n$/],
    [["help", "serv"], /unknown command 'serv'\n\(Did you mean serve\?\)\nSee glimt --help\.\n$/],
  ];
  for (const [args, message] of cases) {
    const { status, stdout, stderr } = glimt(...args);
    assert.equal([status, stdout], [1, ""], args.join(" "));
    assert.match(stderr, message, args.join(" "));
  }
  assert.match(glimt("--trace", "run", "no/such/model", "Hi").stderr, /\n {4}at /);
});

test("what is wrong with a request is told before the weights are read, by its flag", async () => {
  // Of all numbers NaN: reading the weights fails.
  const broken = join(folder, "broken");
  cpSync("examples/demo/checkpoint", broken, { recursive: true });
  const weights = readFileSync(join(broken, "model.safetensors"));
  writeFileSync(
    join(broken, "model.safetensors"),
    weights.fill(0xff, 8 + Number(weights.readBigUInt64LE(0))),
  );
  const file = (name: string, text: string) => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const schema = file("schema.json", '{"type": "array", "uniqueItems": true}');
  const tools = file("tools.json", '[{"name": "tap", "parameters": {"type": "object", "not": {}}}]');
  const cases: [args: string[], message: RegExp][] = [
    [[], /holds NaN or infinite values.*\[WEIGHTS_INVALID\]/],
    [["--regex", "("], /^--regex: at character 1, this group is not closed\. \[OPTION_INVALID\]/],
    [["--json-schema", schema], /^--json-schema\.uniqueItems: this keyword is not supported/],
    [["--json-schema", file("no.json", "{")], /^--json-schema is no JSON/],
    [["--json-schema", file("mark.json", '\ufeff{"uniqueItems": true}')], /^--json-schema\.uniqueItems/],
    [["--json-schema", file("wide.json", "\0{\0}")], /^--json-schema: .*wide\.json .* it is UTF-16/],
    [["--json-schema", "nowhere.json"], /^--json-schema: nowhere\.json can not be read/],
    [["--grammar", file("a.ebnf", 'root ::= root "a"')], /^--grammar: rule "root" begins with itself/],
    [["--choice", "a,,b"], /^--choice\[1\] is empty/],
    [["--regex", "a", "--choice", "b"], /^--regex and --choice exclude each other/],
    [["--regex", "a", "--tool-choice", "required"], /^--regex and --tool-choice exclude each other/],
    [["--tool-choice", "required"], /^--tool-choice says which tools .* give tools/],
    [["--tools", tools, "--tool-choice", "wipe"], /^--tool-choice names "wipe"/],
    [["--top-p", "3"], /^--top-p is 3, expected above 0/],
    [["--min-tokens", "9", "--max-tokens", "5"], /^--min-tokens is 9, more than --max-tokens, which is 5/],
    [["--stop-token", "999999"], /^--stop-token must be a list of token ids/],
    [["--allow-token", "999999"], /^--allow-token must be a list of token ids/],
    [["--bad-word", " "], /^--bad-word must be a list of texts/],
    [["--logit-bias", "5:999"], /^--logit-bias of token 5 is 999/],
    [["--n", "0"], /^--n is 0/],
    [["--speculation", "often"], /^--speculation is "often"/],
    [["--speculation", "mtp", "--no-mtp"], /^--speculation is "mtp", and the model has no MTP layer/],
    [["--image", "missing.png"], /missing\.png.*\[IMAGE_INVALID\]/],
    [
      ["--messages", file("long.json", JSON.stringify([{ role: "user", content: "word ".repeat(5000) }]))],
      /CONTEXT_OVERFLOW/,
    ],
  ];
  for (const [args, message] of cases) {
    const prompt = args.includes("--messages") ? [] : ["Hi"];
    const found = await complaint(runCommand(), [broken, ...prompt, "--backend", "wasm", ...args]);
    assert.match(found, message, args.join(" "));
  }
  for (const [name, args, message] of [
    ["chat", ["--max-tokens", "0"], /^--max-tokens is 0/],
    ["chat", ["--speculation", "mtp", "--no-mtp"], /^--speculation is "mtp", and the model has no MTP layer/],
    ["serve", ["--port", "0", "--speculation", "mtp", "--no-mtp"], /^--speculation is "mtp", and the model/],
    [
      "ocr",
      [IMAGE, "--out", folder, "--speculation", "mtp", "--no-mtp"],
      /^--speculation is "mtp", and the model/,
    ],
    ["serve", ["--port", "0"], /holds NaN or infinite values/],
  ] as const) {
    const found = await complaint((COMMANDS[name] as () => Command)(), [
      broken,
      ...args,
      "--backend",
      "wasm",
    ]);
    assert.match(found, message, `${name} ${args.join(" ")}`);
  }
});

test.run();
