// Builds and runs the native tests on the CPU emulator: node crates-free-native/tests/run.mjs
// As users' tests run it, with every memory access of the kernels checked (slow: bf16 only), and the emulator alone under
// AddressSanitizer.
// The last line is `N passed, N failed`.
import { spawnSync } from "node:child_process";
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

for (const tool of ["cmake", "ninja", "g++"]) {
  if (spawnSync(tool, ["--version"]).status !== 0) {
    console.log(`Skipped: the native tests need ${tool}, which is not installed.`);
    console.log("0 passed, 0 failed");
    process.exit(0);
  }
}

step("cases with the reference's answers", process.execPath, join(source, "tests/export-cases.mjs"), cases);
step("addon on the emulator", process.execPath, join(root, "bindings/build.mjs"), "emulator");
step(`configure ${plain}`, "cmake", plain, "-DGLIMT_TESTS=ON");
step(`build ${plain}`, "cmake", "--build", plain, "--target", "cases", "engine", "negative");
step("planted bugs are caught", join(plainTests, "negative"));
step("engine", join(plainTests, "engine"), cases);
step("conformance, threads in order", join(plainTests, "cases"), cases);
step("conformance, reversed", join(plainTests, "cases"), cases, ".bf16", "--schedule", "1");
step("conformance, shuffled", join(plainTests, "cases"), cases, ".bf16", "--schedule", "2");
step("conformance, replayed graphs", join(plainTests, "cases"), cases, ".bf16", "--graph");
// A device so large that contexts are cut into many splits, whose parts are added in two rounds.
const large = ["attention_paged.bf16", "--multiprocessors", "24"];
step("attention cut into many splits", join(plainTests, "cases"), cases, ...large);
step("attention cut into many splits, replayed", join(plainTests, "cases"), cases, ...large, "--graph");
const wgmma = ["--wgmma", "--case", "linear", "--case", "attention"];
step("wgmma, threads in order", join(plainTests, "cases"), cases, ...wgmma);
step("wgmma, reversed", join(plainTests, "cases"), cases, ".bf16", ...wgmma, "--schedule", "1");
step("wgmma, shuffled", join(plainTests, "cases"), cases, ".f16", ...wgmma, "--schedule", "2");
build(checked, ["-DGLIMT_CHECK_ACCESSES=ON"]);
step("planted bugs are named", join(checked, "tests/negative"));
step("conformance, every access checked", join(checked, "tests/cases"), cases, ".bf16");
step("attention cut into many splits, every access checked", join(checked, "tests/cases"), cases, ...large);
step("wgmma, every access checked", join(checked, "tests/cases"), cases, ".bf16", ...wgmma);
// The emulator itself: no kernels but the broken ones.
build(sanitised, ["-DGLIMT_ASAN=ON"], "negative");
step("planted bugs are caught under AddressSanitizer", join(sanitised, "tests/negative"));
console.log(`${totals.passed} passed, ${totals.failed} failed`);
process.exitCode = totals.failed ? 1 : 0;

function build(folder, options, target = "all") {
  const given = ["-DGLIMT_BACKEND=emulator", "-DGLIMT_TESTS=ON", ...options];
  step(`configure ${folder}`, "cmake", "-S", source, "-B", folder, "-G", "Ninja", ...given);
  step(`build ${folder}`, "cmake", "--build", folder, "--target", target);
}

/** Runs a command; what it printed is shown when it fails. */
function step(name, command, ...args) {
  const start = performance.now();
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8", maxBuffer: 1 << 28 });
  const good = status === 0;
  totals[good ? "passed" : "failed"]++;
  if (!good) console.log(`${stdout}\n${stderr}`);
  console.log(`${good ? "ok  " : "FAIL"} ${name} (${((performance.now() - start) / 1000).toFixed(1)} s)`);
}
