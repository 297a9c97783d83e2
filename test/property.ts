/**
 * fast-check with the same cases in every run, so that a failure is seen by whoever caused it; FUZZ_SEED=N looks at
 * others. It is exported as a value: a bundler may drop a module that is imported for its effect alone.
 */
import * as fastCheck from "fast-check";

export const SEED = Number(process.env.FUZZ_SEED ?? 1);
if (!Number.isInteger(SEED))
  throw new Error(`FUZZ_SEED is "${process.env.FUZZ_SEED}", expected a whole number.`);

fastCheck.configureGlobal({ seed: SEED });

export const fc: typeof fastCheck = fastCheck;
