/** Flags of commands that run a model: how its backend does it; and what is said of what runs it. */
import { type Command, Option } from "commander";
import { type EngineReport, WASM_VARIANTS, type WasmVariant } from "../backends/backend.ts";
import { memorySize, wholeNumber } from "./model-options.ts";

export interface EngineFlags {
  readonly threads?: number;
  readonly wasmVariant?: WasmVariant;
  readonly maxMemory?: number;
  readonly batchInvariant?: true;
}

export function withEngineOptions(command: Command): Command {
  return command
    .option("--threads <n>", "threads of the wasm backend (default: one a core, at most 8)", wholeNumber)
    .addOption(
      new Option(
        "--wasm-variant <name>",
        "the only variant of the wasm backend to run (default: the best)",
      ).choices(WASM_VARIANTS),
    )
    .option(
      "--max-memory <size>",
      "most memory of the wasm backend: 512MiB, 6GiB (default: 4 GiB, or 16 GiB where the model needs them)",
      memorySize,
    )
    .option(
      "--batch-invariant",
      "the same bits whatever shares a step, however a prompt is cut: always so on wasm and reference, slower on CUDA",
    );
}

export function engineOptions({ threads, wasmVariant, maxMemory, batchInvariant }: EngineFlags) {
  return { threads, wasmVariant, maxMemory, batchInvariant };
}

/** For `--json`, which has the backend's name beside it. */
export function engineFacts({ description, variant, threads, limits }: EngineReport) {
  return { description, variant, threads, limits };
}

/** One line. */
export function engineLine({ description, limits }: EngineReport): string {
  return [description, ...limits].join(". ");
}
