/** Flags of commands that share a model between devices. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { type DeviceOptions, ENCODER_PARALLEL, type EncoderParallel } from "../api/parallel-options.ts";
import { GlimtError } from "../errors.ts";
import { type DeviceFlags, wholeNumber } from "./model-options.ts";

export interface ParallelFlags extends Pick<DeviceFlags, "device"> {
  readonly devices?: readonly number[];
  readonly tensorParallel?: number;
  readonly pipelineParallel?: number;
  readonly pipelineCuts?: readonly number[];
  readonly encoderParallel?: EncoderParallel;
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
        "tensor: devices share each layer of the vision tower; data: each encodes pictures of its own (default: by size)",
      ).choices(ENCODER_PARALLEL),
    );
}

export function parallelOptions(flags: ParallelFlags): DeviceOptions {
  const { devices, tensorParallel: tensor, pipelineParallel: pipeline, pipelineCuts: cuts } = flags;
  const { encoderParallel: encoder } = flags;
  if (devices && flags.device !== undefined) {
    throw new GlimtError("OPTION_INVALID", "--device is one of several in --devices: leave it out.");
  }
  const isAsked = [tensor, pipeline, cuts, encoder].some((value) => value !== undefined);
  return { devices, parallel: isAsked ? { tensor, pipeline, cuts, encoder } : undefined };
}

function numberList(text: string): number[] {
  if (!/^\d+(,\d+)*$/.test(text)) throw new InvalidArgumentError("It must be numbers, such as 0,1.");
  return text.split(",").map(Number);
}
