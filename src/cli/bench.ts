/** `glimt bench`: how fast a model is here, how far that is from what the machine can do, and where the time goes. */
import { loadavg } from "node:os";
import { Command, InvalidArgumentError } from "commander";
import { openModelOn } from "../api/load-model.ts";
import { GlimtError } from "../errors.ts";
import { openProcessor } from "../index.ts";
import { measureCeilings } from "../measure/ceilings.ts";
import {
  type MeasureOptions,
  measurePass,
  type PassFailure,
  type PassSpeed,
} from "../measure/measure-pass.ts";
import { decodePass, type Pass, prefillPass, visionPass } from "../measure/passes.ts";
import { nodeFiles } from "../node-files.ts";
import type { Processor } from "../prompt/processor.ts";
import { chooseBackend } from "../runtime/choose-backend.ts";
import { benchPage } from "./bench/page.ts";
import { benchPlot } from "./bench/plot.ts";
import { type BenchReport, benchReport, type Measured, rateOf } from "./bench/report.ts";
import { benchText } from "./bench/text.ts";
import { checkpointOptions } from "./checkpoint-flags.ts";
import { type EngineFlags, engineOptions, withEngineOptions } from "./engine-flags.ts";
import { hostFacts } from "./host.ts";
import { interruptible } from "./interruption.ts";
import { backendsFor, decimal, type LoadFlags, loadOptions, withLoadOptions } from "./model-options.ts";
import { progressLine } from "./progress-line.ts";
import { JSON_HELP } from "./report.ts";
import { checkOutputs, writeOutput } from "./write-output.ts";

interface Dims {
  readonly width: number;
  readonly height: number;
}

interface BenchFlags extends LoadFlags, EngineFlags {
  readonly image?: readonly Dims[];
  readonly prefill?: readonly number[];
  readonly context?: readonly number[];
  readonly batch: readonly number[];
  readonly seconds: number;
  readonly profile?: true;
  readonly svg?: string;
  readonly html?: string;
  readonly json?: true;
}

/** What is measured unless it is asked for, as far as the model's context has room. */
const DEFAULTS = { image: [{ width: 616, height: 812 }], prefill: [128, 512], context: [128, 2048] };
const MOST_RUNS = 50;
/** Of what the machine or the container has left, for the memory that is read; and bytes in which an engine without a model opens. */
const ROOM_SHARE = 0.75;
const LEAST_ROOM = 64 << 20;

export function benchCommand(): Command {
  return withEngineOptions(withLoadOptions(new Command("bench")))
    .description("measure a model's speed and memory here, as shares of what the machine can do")
    .argument("<model>", "model of the Hub (ORG/NAME), checkpoint directory, or the URL of one")
    .option("--image <WxH,...>", "sizes of pictures to encode (default: 616x812), or none", imageSizes)
    .option("--prefill <n,...>", "tokens of prompts to read (default: 128,512), or none", sizes)
    .option(
      "--context <n,...>",
      "tokens in the KV cache of an answer that is decoded (default: 128,2048), or none",
      sizes,
    )
    .option("--batch <n,...>", "answers that are decoded together", sizes, [1, 4])
    .option("--seconds <s>", "time for each measurement, after which no further run is started", decimal, 2)
    .option("--profile", "show where the time goes, by op and by part of the model")
    .option("--svg <file>", "draw the result")
    .option("--html <file>", "write the drawing and the tables as a page")
    .option("--json", JSON_HELP)
    .action(bench);
}

async function bench(location: string, flags: BenchFlags): Promise<void> {
  const signal = interruptible();
  const { backend } = await chooseBackend(backendsFor(flags), flags.backend);
  if (flags.profile && !backend.timesInstructions) {
    throw new GlimtError(
      "OPTION_INVALID",
      `--profile: the ${backend.name} backend can not time single instructions; leave it out, or take --backend wasm.`,
    );
  }
  if (flags.seconds <= 0) {
    throw new GlimtError("OPTION_INVALID", `--seconds is ${flags.seconds}, expected a number above 0.`);
  }
  await checkOutputs({ "--svg": flags.svg, "--html": flags.html });
  const { maxImagePixels } = flags;
  const cases = casesOf(
    await openProcessor(location, { maxImagePixels, ...checkpointOptions(flags) }),
    flags,
  );
  const progress = progressLine(true);
  const say = (line: string) => {
    progress.clear();
    console.error(line);
  };

  const engine = engineOptions(flags);
  // Backends other than WebAssembly take no limit, and no such memory.
  const ceilingOptions = () =>
    withoutUndefined(
      backend.name === "wasm" ? { ...engine, maxMemory: roomToRead(engine.maxMemory) } : engine,
    );
  const before = await measureCeilings(backend, ceilingOptions(), signal);
  const { core, facts } = await openModelOn({ ...nodeFiles, backends: [backend] }, location, {
    ...loadOptions({ ...flags, media: "default", rounding: "torchvision" }),
    ...engine,
    backend: backend.name,
    signal,
    onProgress: ({ loadedBytes, totalBytes }) => progress.show("loading", loadedBytes / totalBytes),
  });
  try {
    const { parts } = core;
    say(`loaded in ${facts.loadMilliseconds.toFixed(0)} ms`);
    const loadedBytes = parts.engine.liveBytes;
    const options: MeasureOptions = {
      budgetMs: 1000 * flags.seconds,
      maxRuns: MOST_RUNS,
      profile: flags.profile === true,
      signal,
    };
    const measure = async <Size extends object>(
      what: string,
      size: Size,
      open: () => Pass,
      items: number,
    ): Promise<Measured & Size> => {
      progress.show(what, 0);
      const found = await measurePass(parts, open, options);
      say(`${what}: ${outcome(found, items)}`);
      return { ...size, items, found };
    };

    const vision = [];
    const images = parts.config.textOnly === null ? cases.images : [];
    for (const { gridThw, features, ...size } of images) {
      const what = `picture of ${size.width} x ${size.height}`;
      vision.push(await measure(what, { ...size, gridThw }, () => visionPass(parts, gridThw), features));
    }
    const prefill = [];
    for (const tokens of cases.prefill) {
      const open = () => prefillPass(parts, { tokens, chunk: parts.prefillChunk });
      prefill.push(await measure(`prompt of ${tokens} tokens`, { tokens }, open, tokens));
    }
    const decode = [];
    for (const size of cases.decode) {
      const what = `decoding, context ${size.context}, batch ${size.batch}`;
      decode.push(await measure(what, size, () => decodePass(parts, size), size.batch));
    }
    const after = before && (await measureCeilings(backend, ceilingOptions(), signal));
    const { liveBytes, report } = parts.engine;
    const full = benchReport({
      model: {
        location,
        architecture: parts.config.architecture,
        dtype: facts.dtype,
        weightBytes: facts.loaded.bytes,
      },
      host: { ...hostFacts(), load: loadavg()[0] ?? 0 },
      backend: { name: backend.name, activations: backend.activationDType, ...report },
      ceilings: before && after && { before, after },
      load: { milliseconds: facts.loadMilliseconds, liveBytes: loadedBytes },
      vision,
      prefill,
      decode,
      memory: { liveBytes, peakBytes: 1024 * process.resourceUsage().maxRSS },
    });
    await print(full, flags);
  } finally {
    progress.clear();
    await core.dispose();
  }
}

async function print(report: BenchReport, { json, svg, html }: BenchFlags): Promise<void> {
  if (svg !== undefined) await writeOutput("--svg", svg, benchPlot(report));
  if (html !== undefined) await writeOutput("--html", html, benchPage(report));
  console.log(json ? JSON.stringify(report) : benchText(report));
}

function outcome(found: PassSpeed | PassFailure, items: number): string {
  if ("error" in found) return `not measured, ${found.error.message}`;
  return `${rateOf(found, items).toFixed(1)} tokens/s, ${found.median.toFixed(1)} ms`;
}

/** @throws OPTION_INVALID, INPUT_INVALID for sizes that the model can not be given */
function casesOf({ checkpoint, sizes }: Processor, flags: BenchFlags) {
  const most = checkpoint.config.text.maxPositionEmbeddings;
  const fitting = (name: "prefill" | "context"): readonly number[] => {
    const asked = flags[name];
    const over = asked?.find((tokens) => tokens > most);
    if (over !== undefined) {
      throw new GlimtError(
        "OPTION_INVALID",
        `--${name} is ${over}, more than the ${most} tokens of the model's context.`,
      );
    }
    return asked ?? DEFAULTS[name].filter((tokens) => tokens <= most);
  };
  const images = (flags.image ?? DEFAULTS.image).map((size) => {
    const [image] = sizes.count({ images: [size] }).images;
    const { gridThw, numTokens: features } = image as NonNullable<typeof image>;
    return { ...size, gridThw, features };
  });
  const decode = fitting("context").flatMap((context) => flags.batch.map((batch) => ({ context, batch })));
  return { images, prefill: fitting("prefill"), decode };
}

/**
 * On Linux, in a container or not, the process that takes more than there is is killed, and not told. Other systems' numbers leave
 * out what they could free.
 *
 * @param asked by --max-memory
 */
export function roomToRead(
  asked: number | undefined,
  available = process.platform === "linux" ? process.availableMemory?.() : undefined,
): number | undefined {
  if (available === undefined) return asked;
  return Math.min(
    asked ?? Number.POSITIVE_INFINITY,
    Math.max(LEAST_ROOM, Math.floor(ROOM_SHARE * available)),
  );
}

/** Engines are told only what was asked for. */
function withoutUndefined<T extends object>(options: T) {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
}

function sizes(text: string): number[] {
  if (text === "none") return [];
  return text.split(",").map((one) => {
    const value = Number(one);
    if (!/^\d+$/.test(one.trim()) || value < 1 || !Number.isSafeInteger(value)) {
      throw new InvalidArgumentError("It must be whole numbers from 1 with commas between, or none.");
    }
    return value;
  });
}

function imageSizes(text: string): Dims[] {
  if (text === "none") return [];
  return text.split(",").map((one) => {
    const [, width, height] = /^(\d+)x(\d+)$/.exec(one.trim()) ?? [];
    if (width === undefined || height === undefined) {
      throw new InvalidArgumentError("It must be WIDTHxHEIGHT, e.g. 616x812,1036x1036, or none.");
    }
    return { width: Number(width), height: Number(height) };
  });
}
