// Registers, spills and static shared memory of every kernel, from a build's output (ptxas -v):
//   ninja -C build/native-cuda -t clean && ninja -C build/native-cuda | node crates-free-native/scripts/ptxas-report.mjs
// Writes a table; exits with 1 when a kernel spills, or when ptxas says that it waits after each wgmma.
import { execFileSync } from "node:child_process";
import { text } from "node:stream/consumers";

const kernels = [];
const warnings = [];
let current = null;
for (const line of (await text(process.stdin)).split("\n")) {
  if (line.includes("Potential Performance Loss")) warnings.push(line.trim());
  const entry = /Compiling entry function '(\S+)' for '(sm_\w+)'/.exec(line);
  if (entry) {
    current = { symbol: entry[1], arch: entry[2], registers: 0, spills: 0, stack: 0, shared: 0 };
    kernels.push(current);
  }
  if (!current) continue;
  const spills = /(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads/.exec(line);
  if (spills) {
    current.stack = Number(spills[1]);
    current.spills = Number(spills[2]) + Number(spills[3]);
  }
  const used = /Used (\d+) registers/.exec(line);
  if (used) {
    current.registers = Number(used[1]);
    current.shared = Number(/(\d+) bytes smem/.exec(line)?.[1] ?? 0);
    current = null;
  }
}

const names = demangle(kernels.map(({ symbol }) => symbol));
const rows = kernels.map((kernel, index) => ({ ...kernel, name: names[index] }));
rows.sort((a, b) => a.name.localeCompare(b.name) || a.arch.localeCompare(b.arch));
console.log("| kernel | arch | registers | spilled bytes | stack bytes | static shared bytes |");
console.log("|---|---|---|---|---|---|");
for (const { name, arch, registers, spills, stack, shared } of rows) {
  console.log(`| \`${name}\` | ${arch} | ${registers} | ${spills} | ${stack} | ${shared} |`);
}
const spilling = rows.filter(({ spills }) => spills > 0);
console.log(`\n${rows.length} kernels, ${spilling.length} spill.`);
for (const warning of new Set(warnings)) console.log(`\n${filtered([warning])[0]}`);
process.exitCode = spilling.length || warnings.length ? 1 : 0;

/** Lines with their symbols as C++ has them; mangled names serve too. */
function filtered(lines) {
  try {
    return execFileSync("c++filt", { input: lines.join("\n") })
      .toString()
      .trim()
      .split("\n");
  } catch {
    return lines;
  }
}

/** Short names: without the namespaces and the arguments. */
function demangle(symbols) {
  return filtered(symbols).map((line) =>
    line
      .replace(/^void /, "")
      .replaceAll("glimt::", "")
      .replaceAll(/\(anonymous namespace\)::|_INTERNAL_\w+::|_GLOBAL__N_\w+::/g, "")
      .replaceAll("__nv_bfloat16", "bf16")
      .replaceAll("__half", "f16")
      .replace(/>\(.*$/, ">")
      .replace(/\(.*$/, (rest) => (line.includes("<") ? rest : "")),
  );
}
