/** Flags of commands that share a model between devices. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { type DeviceOptions, ENCODER_PARALLEL, type EncoderParallel } from "../api/parallel-options.ts";
import { GlimtError } from "../errors.ts";
import type { LoadOptions } from "../index.ts";
import { type DeviceFlags, wholeNumber } from "./model-options.ts";

export interface ParallelFlags extends Pick<DeviceFlags, "device"> {
  readonly devices?: readonly number[];
  readonly tensorParallel?: number;
  readonly pipelineParallel?: number;
  readonly pipelineCuts?: readonly number[];
  readonly encoderParallel?: EncoderParallel;
  readonly parallelTimeout?: number;
  /** Of commands that answer many requests. */
  readonly dataParallel?: number;
}

export function withParallelOptions(command: Command): Command {
  return command
    .option(
      "--devices <list>",
      "devices that share the model: 0,1 (GPUs; on other backends engines of this process)",
      numberList,
    )
    .option("--tensor-parallel <n>", "devices that share each layer (default: all)", wholeNumber)
    .option("--pipeline-parallel <n>", "stages of layers, one behind the other (default: 1)", wholeNumber)
    .option(
      "--pipeline-cuts <list>",
      "first layers of the stages behind the first: 16,31 (default: about as many bytes of weights in each)",
      numberList,
    )
    .addOption(
      new Option(
        "--encoder-parallel <how>",
        "tensor: devices share each layer of the vision tower; data: each encodes pictures of its own; stage: those behind the first tensor x pipeline have it alone (default: by size)",
      ).choices(ENCODER_PARALLEL),
    )
    .option(
      "--parallel-timeout <ms>",
      "without progress of any device, after which the model fails (default: 300000)",
      wholeNumber,
    );
}

export function withDataParallelOption(command: Command): Command {
  return command.option(
    "--data-parallel <n>",
    "load the model so many times, each on devices of its own",
    wholeNumber,
  );
}

export function parallelOptions(flags: ParallelFlags): DeviceOptions & Pick<LoadOptions, "dataParallel"> {
  const { devices, tensorParallel: tensor, pipelineParallel: pipeline, pipelineCuts: cuts } = flags;
  const { encoderParallel: encoder, parallelTimeout: timeout, dataParallel } = flags;
  if (devices && flags.device !== undefined) {
    throw new GlimtError("OPTION_INVALID", "--device is one of several in --devices: leave it out.");
  }
  if (dataParallel !== undefined && flags.device !== undefined) {
    throw new GlimtError(
      "OPTION_INVALID",
      "--device is one, and --data-parallel takes several: give --devices.",
    );
  }
  const given = { tensor, pipeline, cuts, encoder, timeout };
  const parallel = Object.values(given).some((value) => value !== undefined) ? given : undefined;
  return { devices, parallel, dataParallel };
}

function numberList(text: string): number[] {
  if (!/^\d+(,\d+)*$/.test(text)) throw new InvalidArgumentError("It must be numbers, such as 0,1.");
  return text.split(",").map(Number);
}
