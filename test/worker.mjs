/** Runs the uvu suites of one bundled test file and reports the counts to test/run.mjs. */
import { pathToFileURL } from "node:url";

// uvu's own protocol for runners: suites collect in the queue instead of starting by themselves.
globalThis.UVU_DEFER = 1;
globalThis.UVU_QUEUE = [[]];
globalThis.UVU_INDEX = 0;
await import(pathToFileURL(process.argv[2]).href);

const suites = globalThis.UVU_QUEUE[0];
if (suites.length === 0) throw new Error("This file runs no test: it lacks `test.run()`.");

const totals = { passed: 0, failed: 0, skipped: 0 };
for (const suite of suites) {
  const [errors, passed, skipped, total] = await suite();
  if (typeof errors === "string") process.stdout.write(`\n${errors}\n`);
  totals.passed += passed;
  totals.failed += total - passed;
  totals.skipped += skipped;
}
if (totals.passed + totals.failed + totals.skipped === 0) throw new Error("This file runs no test.");
process.send(totals, () => process.exit(totals.failed === 0 ? 0 : 1));
