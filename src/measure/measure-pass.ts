/** One pass of a model on a device: how long it takes, what it had to do, and where the time goes. */
import { GlimtError } from "../errors.ts";
import type { Stages } from "../runtime/open-stages.ts";
import { type Clock, type Timing, timeRuns } from "./clock.ts";
import type { Pass } from "./passes.ts";
import { type Profile, profilePass } from "./profile.ts";
import { sumWork, type Work } from "./work.ts";

export interface MeasureOptions {
  /** For the timing, and once more for the profile; but each has at least one run. */
  readonly budgetMs: number;
  readonly maxRuns: number;
  readonly profile: boolean;
  readonly clock?: Clock | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface PassSpeed extends Timing {
  readonly work: Work;
  /** Bytes that the device holds after the runs: weights, caches, the arena. */
  readonly liveBytes: number;
  readonly profile: Profile | null;
}

/** What did not fit memory. */
export interface PassFailure {
  readonly error: { readonly code: string; readonly message: string };
}

/**
 * @param open may throw OUT_OF_MEMORY, as the runs may; other passes can be measured then.
 * @throws ABORTED, and what else goes wrong
 */
export async function measurePass(
  { engine }: Pick<Stages, "engine">,
  open: () => Pass,
  options: MeasureOptions,
): Promise<PassSpeed | PassFailure> {
  const { budgetMs, maxRuns, clock, signal } = options;
  let pass: Pass | undefined;
  try {
    const opened = open();
    pass = opened;
    // First, so that the code is warm for passes of which there is time for one.
    await opened.check({ signal });
    const timing = await timeRuns(() => opened.run({ signal }), { engine, budgetMs, maxRuns, clock, signal });
    const { liveBytes } = engine;
    const profile = options.profile ? await profilePass(opened, options) : null;
    return { ...timing, work: sumWork(opened.work), liveBytes, profile };
  } catch (error) {
    if (!(error instanceof GlimtError) || error.code !== "OUT_OF_MEMORY") throw error;
    return { error: { code: error.code, message: error.message } };
  } finally {
    pass?.release();
  }
}
