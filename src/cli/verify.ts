/** `glimt verify`: a checkpoint of one's own held against Hugging Face transformers, stage by stage. */
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { basename, dirname, resolve } from "node:path";
import { Command, Option } from "commander";
import { openModelOn } from "../api/load-model.ts";
import { describeStorage } from "../api/weight-storage.ts";
import { openDirectory } from "../checkpoint/directory.node.ts";
import { modelOfPage, parseHubId } from "../checkpoint/hub/location.ts";
import { GlimtError } from "../errors.ts";
import { pullModel } from "../index.ts";
import { nodeFiles } from "../node-files.ts";
import { chooseBackend } from "../runtime/choose-backend.ts";
import { BOUNDS } from "../verify/bounds.ts";
import { type Expected, openExpected } from "../verify/expected.ts";
import { modelName, type VerifyReport, verdictOf, withoutPlaces } from "../verify/report.ts";
import { verifyModel } from "../verify/verify-model.ts";
import {
  type CheckpointFlags,
  checkpointOptions,
  serverOptions,
  withCheckpointOptions,
} from "./checkpoint-flags.ts";
import { type EngineFlags, engineOptions, withEngineOptions } from "./engine-flags.ts";
import { type FormatFlags, withFormatOptions } from "./format-flags.ts";
import { hostFacts } from "./host.ts";
import { interruptible } from "./interruption.ts";
import { backendsFor, type DeviceFlags, withDeviceOptions } from "./model-options.ts";
import { downloadShown, progressLine } from "./progress-line.ts";
import { JSON_HELP } from "./report.ts";
import { withJudge } from "./verify/judge.ts";
import { reportText } from "./verify/table.ts";
import { checkOutput, writeOutput } from "./write-output.ts";

interface VerifyFlags extends CheckpointFlags, FormatFlags, DeviceFlags, EngineFlags {
  readonly expected?: string;
  readonly judge?: string;
  readonly image?: string;
  readonly python: string;
  readonly judgeDtype: "f32" | "bf16";
  readonly report?: string;
  readonly json?: true;
}

export function verifyCommand(): Command {
  return withEngineOptions(withDeviceOptions(withFormatOptions(withCheckpointOptions(new Command("verify")))))
    .description(
      "compare ids, pixels, features, logits and tokens of a checkpoint with Hugging Face transformers",
    )
    .argument("<model>", "model of the Hub (ORG/NAME), checkpoint directory, or a GGUF file")
    .option(
      "--expected <file>",
      "what the script python/verify.py wrote elsewhere, in place of running it here",
    )
    .option(
      "--judge <model>",
      "what transformers reads in place of the model: of a GGUF file the checkpoint that it was made of",
    )
    .option("--image <file>", "a picture of your own to ask about, beside those that are drawn")
    .option(
      "--python <program>",
      "a Python with torch, torchvision and transformers",
      process.platform === "win32" ? "python" : "python3",
    )
    .addOption(
      new Option(
        "--judge-dtype <type>",
        "what transformers computes in; bf16 takes half the memory and tells less",
      )
        .choices(["f32", "bf16"])
        .default("f32"),
    )
    .option(
      "--report <file.json>",
      "write all figures, to be attached to a bug; it has no paths of this machine",
    )
    .option("--json", JSON_HELP)
    .action(verify);
}

async function verify(location: string, flags: VerifyFlags): Promise<void> {
  if (flags.report !== undefined) await checkOutput("--report", flags.report, [flags.image, flags.expected]);
  const signal = interruptible();
  const progress = progressLine(flags.json !== true);
  try {
    const judge = flags.expected === undefined ? runJudge : readExpected;
    const found = await judge(location, flags, signal, progress.show, (expected) =>
      compare(location, expected, flags, signal, progress.show),
    );
    const places = { [homedir()]: "~", [process.cwd()]: ".", [resolve(location)]: found.model };
    const report = withoutPlaces(found, places);
    progress.clear();
    if (flags.report !== undefined) {
      await writeOutput("--report", flags.report, `${JSON.stringify(report, null, 1)}\n`);
    }
    console.log(flags.json ? JSON.stringify(report) : reportText(report));
    if (report.verdict === "wrong") process.exitCode = 1;
  } finally {
    progress.clear();
  }
}

type Show = (what: string, share: number) => void;
type Compare = (expected: Expected) => Promise<VerifyReport>;

async function readExpected(
  _location: string,
  flags: VerifyFlags,
  signal: AbortSignal,
  _show: Show,
  comparison: Compare,
): Promise<VerifyReport> {
  const file = resolve(flags.expected as string);
  return comparison(await openExpected(await openDirectory(dirname(file)), basename(file), signal));
}

async function runJudge(
  location: string,
  flags: VerifyFlags,
  signal: AbortSignal,
  show: Show,
  comparison: Compare,
): Promise<VerifyReport> {
  if (flags.judge === undefined && /\.gguf$/i.test(location)) {
    throw new GlimtError(
      "OPTION_INVALID",
      `transformers reads no GGUF files of this family: give the checkpoint that ${modelName(location)} was made of with --judge, or what python/verify.py made of it with --expected.`,
    );
  }
  const { model, revision, env } = await judgedModel(flags.judge ?? location, flags, signal, show);
  const args = [
    ...["--dtype", flags.judgeDtype],
    ...(flags.image === undefined ? [] : ["--image", resolve(flags.image)]),
    ...(revision === undefined ? [] : ["--revision", revision]),
  ];
  const { python } = flags;
  return withJudge(model, { python, args, env, signal, onProgress: show }, async (folder, name) =>
    comparison(await openExpected(await openDirectory(folder), name, signal)),
  );
}

/** What the script is to read: a folder, or a model of the Hub, which is brought into the cache of both. */
async function judgedModel(location: string, flags: VerifyFlags, signal: AbortSignal, show: Show) {
  const offline = { HF_HUB_OFFLINE: "1" };
  if (existsSync(location)) return { model: resolve(location), env: offline };
  const page = /^https?:/i.test(location) && URL.canParse(location) ? modelOfPage(new URL(location)) : null;
  if ((page ?? parseHubId(location)) === null) {
    // An address may have a password in it; a path is said as it was typed.
    const name = !/^[a-z]+:\/\//i.test(location) ? location : modelName(location);
    throw new GlimtError(
      "OPTION_INVALID",
      `The judge reads folders and models of the Hub, and ${name} is neither: give one, or run python/verify.py where the files are and give what it writes with --expected.`,
    );
  }
  const onDownload = (download: Parameters<typeof downloadShown>[0]) => show(...downloadShown(download));
  const pulled = await pullModel(location, { ...serverOptions(flags), signal, onDownload });
  const cache = flags.cacheDir === undefined ? {} : { HF_HUB_CACHE: resolve(flags.cacheDir) };
  return { model: pulled.repository, revision: pulled.commit, env: { ...offline, ...cache } };
}

async function compare(
  location: string,
  expected: Expected,
  flags: VerifyFlags,
  signal: AbortSignal,
  show: Show,
): Promise<VerifyReport> {
  const { backend } = await chooseBackend(backendsFor(flags), flags.backend);
  const media = { media: "huggingface", rounding: expected.rounding } as const;
  const { dtype, visionDtype, kvCacheDtype } = flags;
  const opened = await openModelOn({ ...nodeFiles, backends: [backend] }, location, {
    ...checkpointOptions(flags),
    ...engineOptions(flags),
    ...media,
    ...{ dtype, visionDtype, kvCacheDtype, signal },
    backend: backend.name,
    onProgress: ({ loadedBytes, totalBytes }) => show("glimt: loading", loadedBytes / totalBytes),
  });
  const { core, processor, facts } = opened;
  try {
    const weights = describeStorage(processor.checkpoint, flags, backend).tensors;
    const onProgress = (what: string, share: number) => show(`glimt: ${what}`, share);
    const cases = await verifyModel({ core, processor, weights }, expected, { signal, onProgress });
    const { engine, pool, config } = core.parts;
    const { cases: _, ...judge } = expected;
    return {
      verdict: verdictOf(cases, expected),
      // Of a folder nothing of where it lies.
      model: modelName(existsSync(location) ? resolve(location) : location),
      architecture: config.architecture,
      glimt: {
        version: GLIMT_VERSION,
        backend: backend.name,
        engine: engine.report,
        activations: backend.activationDType,
        kvCache: pool.layout.dtype,
        dtype: facts.dtype,
        conversions: facts.loaded.conversions,
        host: hostFacts(),
      },
      judge,
      bounds: BOUNDS,
      cases,
    };
  } finally {
    await core.dispose();
  }
}
