/** The same cases in every run, so that a failure is seen by whoever caused it; FUZZ_SEED=N looks at others. */
import * as fc from "fast-check";

fc.configureGlobal({ seed: Number(process.env.FUZZ_SEED ?? 1) });
