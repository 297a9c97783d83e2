/** What the API takes the command takes too, or a reason stands here. */
import type { Command } from "commander";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { LOAD_OPTION_NAMES } from "../../src/api/load-options.ts";
import { batchCommand } from "../../src/cli/batch.ts";
import { chatCommand } from "../../src/cli/chat.ts";
import { ocrCommand } from "../../src/cli/ocr.ts";
import { processCommand } from "../../src/cli/process.ts";
import { runCommand } from "../../src/cli/run.ts";
import { serveCommand } from "../../src/cli/serve.ts";
import { workerCommand } from "../../src/cli/worker.ts";
import { MEDIA_OPTION_NAMES } from "../../src/prompt/media-options.ts";
import { PROCESS_OPTION_NAMES } from "../../src/prompt/process-options.ts";
import { GENERATE_OPTION_NAMES } from "../../src/serving/generation-options.ts";

/** Flags of options, where they are called otherwise. */
const FLAGS: Readonly<Record<string, readonly string[]>> = {
  headers: ["header"],
  hub: ["cache-dir", "offline"],
  adapters: ["adapter"],
  encoderCacheBytes: ["encoder-cache"],
  prefixCache: ["no-prefix-cache"],
  mtp: ["no-mtp"],
  parallel: ["tensor-parallel", "pipeline-parallel", "pipeline-cuts", "encoder-parallel", "parallel-timeout"],
  limits: ["max-images", "max-videos"],
  enableThinking: ["thinking", "no-thinking"],
  sampleFrames: ["sample-frames", "no-sample-frames"],
  stopTokenIds: ["stop-token"],
  badWords: ["bad-word"],
  allowedTokenIds: ["allow-token"],
  repetitionDetection: ["stop-repetition"],
  structured: ["json-schema", "regex", "choice", "grammar"],
};

/** Options that no command takes. */
const NEVER: Readonly<Record<string, string>> = {
  fetch: "a function",
  onDownload: "a function; what it tells is shown",
  onProgress: "a function; what it tells is shown",
  signal: "Ctrl-C",
  worker: "a process of its own has no page to hold",
  workerUrl: "the package's own lies beside the command",
  priority: "of requests beside one another",
};
const OWN = "the messages are who typed them";
const ONE = "one answer at a time";
const LISTS = "JSON alone has room for them";
const TEXT = "an answer in a chat is a text";
const UNTOLD = { attention: "nothing that it writes has room for it" };

const LOADED = LOAD_OPTION_NAMES;
const ASKED = [...PROCESS_OPTION_NAMES, ...GENERATE_OPTION_NAMES];
const COMMANDS: readonly [command: Command, options: readonly string[], without: Record<string, string>][] = [
  [
    runCommand(),
    [...LOADED, ...ASKED],
    { limits: OWN, maxSequences: ONE, dataParallel: ONE, topLogprobs: "--logprobs" },
  ],
  [
    chatCommand(),
    [...LOADED, ...ASKED],
    {
      ...{ limits: OWN, maxSequences: ONE, dataParallel: ONE, n: ONE },
      ...{ logprobs: LISTS, topLogprobs: LISTS, structured: TEXT },
      ...{ tools: "nobody would answer calls", toolChoice: "nobody would answer calls" },
      continueFinalMessage: "answers are whole, and questions the user's",
      ...UNTOLD,
    },
  ],
  [processCommand(), [...MEDIA_OPTION_NAMES, ...PROCESS_OPTION_NAMES], { limits: OWN }],
  [serveCommand(), LOADED, UNTOLD],
  [batchCommand(), LOADED, UNTOLD],
  [workerCommand(), LOADED, UNTOLD],
  [
    ocrCommand(),
    LOADED,
    {
      ...{ limits: OWN, maxSequences: "--concurrency", dataParallel: "one model reads many pages at a time" },
      ...UNTOLD,
      ...{ adapters: "pages are asked as the model was trained to be", videoPruning: "pages stand still" },
    },
  ],
];

for (const [command, options, without] of COMMANDS) {
  test(`glimt ${command.name()} has a flag for every option`, () => {
    const flags = new Set(command.options.map(({ long }) => long));
    for (const option of options) {
      const names = FLAGS[option] ?? [option.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)];
      const isThere = names.every((name) => flags.has(`--${name}`));
      const reason = NEVER[option] ?? without[option];
      assert.is(isThere, reason === undefined, `${option}: ${names.join(", ")}; ${reason ?? "no reason"}`);
    }
  });
}

test.run();
