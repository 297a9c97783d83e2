/** Answers the lines of a batch without a model. */
import { setTimeout as sleep } from "node:timers/promises";
import { type AnswerPaths, BatchFiles } from "../../src/batch/batch-files.node.ts";
import type { LineAnswerer, RunLimits } from "../../src/batch/lines-run.ts";
import type { BatchProgress } from "../../src/batch/progress.ts";
import { type ErrorCode, GlimtError } from "../../src/errors.ts";

export interface StubAnswerer extends LineAnswerer {
  /** What is asked beside the lines. */
  readonly asked: string;
  /** Most lines that were answered at once. */
  mostAtOnce: number;
  /** custom_ids in the order in which they were asked. */
  readonly asks: string[];
}

interface StubBody {
  readonly say?: string;
  readonly turns?: number;
  readonly forever?: true;
  readonly fail?: ErrorCode;
  readonly passes?: number;
}

/**
 * Says `body.say` again after `body.turns` turns of the loop; `body.fail` is the code of an error to throw, `body.passes`
 * after so many tries it is thrown no more.
 */
export function stubAnswerer(asked = "stub"): StubAnswerer {
  let now = 0;
  const tries = new Map<string, number>();
  const stub: StubAnswerer = {
    asked,
    mostAtOnce: 0,
    asks: [],
    async answer({ customId, body }, { seed, signal }) {
      stub.asks.push(customId);
      stub.mostAtOnce = Math.max(stub.mostAtOnce, ++now);
      try {
        const { say, turns = 0, fail, passes, forever } = body as StubBody;
        const turn = (tries.get(customId) ?? 0) + 1;
        tries.set(customId, turn);
        for (let i = 0; i < turns || forever; i++) {
          await sleep(0);
          if (signal.aborted) throw new GlimtError("ABORTED", "Stopped.");
        }
        if (fail && turn <= (passes ?? Number.POSITIVE_INFINITY))
          throw new GlimtError(fail, `It is ${fail}.`);
        return { status: 200, body: { say, seed }, promptTokens: 2, completionTokens: 3 };
      } finally {
        now--;
      }
    },
    failure(error) {
      const { code, message } = error as GlimtError;
      return { status: 400, body: { error: { code, message } } };
    },
  };
  return stub;
}

export function requestLine(customId: string, body: object): string {
  return JSON.stringify({ custom_id: customId, method: "POST", url: "/v1/chat/completions", body });
}

type Given = Partial<AnswerPaths & RunLimits> & { readonly input: string; readonly output: string };

/** Answers a file, four lines at a time. */
export async function answer(given: Given, stub = stubAnswerer()): Promise<BatchProgress> {
  const { input, output, errors, signal, concurrency = 4, unordered = false, stopSignal, onProgress } = given;
  const files = await BatchFiles.open({ input, output, errors }, stub.asked, signal);
  try {
    return await files.answer(stub, { concurrency, unordered, signal, stopSignal, onProgress });
  } finally {
    await files.close();
  }
}
