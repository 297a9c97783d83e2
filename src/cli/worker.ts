/** `glimt worker`: reads pages of documents that stand in a queue over Redis. */
import { Command } from "commander";
import { checkPageWorker } from "../batch/jobs/page-worker.node.ts";
import { createPageWorker } from "../batch.ts";
import { GlimtError } from "../errors.ts";
import { finishWhenInterrupted, interruptible } from "./interruption.ts";
import { wholeNumber } from "./model-options.ts";
import {
  answerOptions,
  loadServedModel,
  type NamedModelFlags,
  withModelName,
  withServedModelOptions,
} from "./served-model.ts";
import { withSourceOptions } from "./source-flags.ts";
import { tellOnce } from "./tell-once.ts";

interface WorkerFlags extends NamedModelFlags {
  readonly redis?: string;
  readonly queue: string;
  readonly concurrency?: number;
  readonly stallTimeout?: number;
}

export function workerCommand(): Command {
  const command = new Command("worker")
    .description(
      "answer requests that stand in a queue of BullMQ, beside other workers (npm i bullmq ioredis)",
    )
    .argument("<model>", "model of the Hub (ORG/NAME), checkpoint directory, or the URL of one")
    .option(
      "--redis <url>",
      "such as redis://127.0.0.1:6379; with a password better in GLIMT_REDIS, which others do not see",
    )
    .option("--queue <name>", "of BullMQ", "glimt")
    .option("--concurrency <n>", "most pages under way (default: as --max-sequences)", wholeNumber)
    .option(
      "--stall-timeout <ms>",
      "give pages of a worker that says nothing to others (default: 30000)",
      wholeNumber,
    );
  return withModelName(withServedModelOptions(withSourceOptions(command, "public"))).action(work);
}

async function work(location: string, flags: WorkerFlags): Promise<void> {
  const { redis: connection = process.env.GLIMT_REDIS, queue, concurrency, stallTimeout } = flags;
  if (!connection) throw new GlimtError("OPTION_INVALID", "Which Redis? Give --redis URL, or GLIMT_REDIS.");
  const { name } = answerOptions(location, flags);
  const options = {
    ...answerOptions(location, flags),
    connection,
    queue,
    concurrency,
    stallTimeout,
    onError: tellOnce((message) => console.error(`glimt: ${message}`)),
  };
  // Reading the weights takes longest: what is wrong is told before.
  await checkPageWorker(options);
  const model = await loadServedModel(location, flags, interruptible());
  try {
    const worker = await createPageWorker(model, options);
    finishWhenInterrupted(() => {
      console.error(`Finishing ${worker.running} pages; a second signal does not wait for them.`);
      void worker.close();
    });
    console.error(`${name} reads pages of the queue ${queue}.`);
    await worker.ended;
  } finally {
    await model.dispose();
  }
}
