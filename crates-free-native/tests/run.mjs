// Builds and runs the native tests on the CPU emulator: node crates-free-native/tests/run.mjs
// As users' tests run it, with every memory access of the kernels checked (slow: bf16 only), and the emulator alone under
// AddressSanitizer.
// The last line is `N passed, N failed`.
import { execFile, spawnSync } from "node:child_process";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const source = join(dirname(fileURLToPath(import.meta.url)), "..");
const root = join(source, "..");
const cases = join(root, "build/native-cases");
// Where the emulated addon is built: its kernels are compiled once for both.
const plain = join(root, "build/bindings/emulator");
const plainTests = join(plain, "native/tests");
const checked = join(root, "build/native-checked");
const sanitised = join(root, "build/native-asan");
const totals = { passed: 0, failed: 0 };
/** A device so large that contexts are cut into many splits, whose parts are added in two rounds. */
const LARGE = ["attention_paged.bf16", "--kernel", "attention_paged:decode", "--multiprocessors", "24"];

for (const tool of ["cmake", "ninja", "g++"]) {
  if (spawnSync(tool, ["--version"]).status !== 0) {
    console.log(`Skipped: the native tests need ${tool}, which is not installed.`);
    console.log("0 passed, 0 failed");
    process.exit(0);
  }
}

// A process a processor. What is judged is written while kernels compile.
let free = availableParallelism();
const waiting = [];
const exported = step(
  "cases with the reference's answers",
  process.execPath,
  join(source, "tests/export-cases.mjs"),
  cases,
);
await Promise.all([plainly(), watched()]);
console.log(`${totals.passed} passed, ${totals.failed} failed`);
process.exitCode = totals.failed ? 1 : 0;

async function plainly() {
  const program = (name) => join(plainTests, name);
  await step("addon on the emulator", process.execPath, join(root, "bindings/build.mjs"), "emulator");
  await step(`configure ${plain}`, "cmake", plain, "-DGLIMT_TESTS=ON");
  await step(`build ${plain}`, "cmake", "--build", plain, "--target", "cases", "engine", "group", "negative");
  await step("planted bugs are caught", program("negative"));
  await step("groups of engines", program("group"));
  await exported;
  await step("engine", program("engine"), cases);
  const judge = (name, ...options) => step(name, program("cases"), cases, ...options);
  // The longest first.
  await Promise.all([
    judge("every kernel that fits a case, threads in order", "--kernels"),
    judge("every kernel that fits a case, shuffled", ".bf16", "--kernels", "--schedule", "2"),
    judge("every kernel that fits a case, reversed", ".bf16", "--kernels", "--schedule", "1"),
    judge("replayed graphs", ".bf16", "--graph"),
    judge("attention cut into many splits, replayed", ...LARGE, "--graph"),
    judge("attention cut into many splits", ...LARGE),
  ]);
}

/** Under the access checker, and the emulator itself, with no kernels but the broken ones, under AddressSanitizer. */
async function watched() {
  await build(checked, ["-DGLIMT_CHECK_ACCESSES=ON"]);
  const judge = (name, ...options) => step(name, join(checked, "tests/cases"), cases, ...options);
  await step("planted bugs are named", join(checked, "tests/negative"));
  await exported;
  await Promise.all([
    judge("every kernel that fits a case, every access checked", ".bf16", "--kernels"),
    judge("attention cut into many splits, every access checked", ...LARGE),
    sanitise(),
  ]);
}

async function sanitise() {
  await build(sanitised, ["-DGLIMT_ASAN=ON"], "negative");
  await step("planted bugs are caught under AddressSanitizer", join(sanitised, "tests/negative"));
}

async function build(folder, options, target = "all") {
  const given = ["-DGLIMT_BACKEND=emulator", "-DGLIMT_TESTS=ON", ...options];
  await step(`configure ${folder}`, "cmake", "-S", source, "-B", folder, "-G", "Ninja", ...given);
  await step(`build ${folder}`, "cmake", "--build", folder, "--target", target);
}

/** Runs a command when a processor is free; what it printed is shown when it fails. */
async function step(name, command, ...args) {
  if (free > 0) free--;
  else await new Promise((resolve) => waiting.push(resolve));
  const start = performance.now();
  const failure = await new Promise((resolve) => {
    execFile(command, args, { encoding: "utf8", maxBuffer: 1 << 28 }, (error, stdout, stderr) =>
      resolve(error && `${stdout}\n${stderr}`),
    );
  });
  const next = waiting.shift();
  if (next) next();
  else free++;
  const good = failure === null;
  totals[good ? "passed" : "failed"]++;
  if (!good) console.log(failure);
  console.log(`${good ? "ok  " : "FAIL"} ${name} (${((performance.now() - start) / 1000).toFixed(1)} s)`);
}
