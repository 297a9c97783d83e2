/**
 * Builds the native addon: `node bindings/build.mjs [emulator | cuda]`.
 *
 *   emulator (default)   build/bindings/emulator/glimt.node: the kernels on the CPU emulator of the CUDA model, for tests
 *   cuda                 build/bindings/cuda13/glimt.node: the real one; needs nvcc 13, no GPU
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const require = createRequire(import.meta.url);

/** By variant: where it is built, and what CMake is told. */
const VARIANTS = {
  emulator: { folder: "build/bindings/emulator", backend: "emulator" },
  cuda: { folder: "build/bindings/cuda13", backend: "cuda" },
};

/**
 * Builds one variant; what is fresh is not built again, and the compilers are heard only when they fail.
 * @returns the addon's path. @throws when a tool is missing.
 */
export async function buildAddon(variant) {
  const { folder, backend } = VARIANTS[variant];
  const reason = await missingTool(variant);
  if (reason !== undefined) throw new Error(reason);
  const buildFolder = join(root, folder);
  // From then on ninja configures anew when a CMakeLists.txt has changed.
  if (!existsSync(join(buildFolder, "build.ninja"))) {
    await run("cmake", [
      ...["-S", join(root, "bindings"), "-B", buildFolder, "-G", "Ninja"],
      `-DGLIMT_BACKEND=${backend}`,
      `-DNODE_API_HEADERS=${require("node-api-headers").include_dir}`,
      `-DNODE_ADDON_API=${require("node-addon-api").include_dir}`,
    ]);
  }
  const jobs = String(availableParallelism());
  const output = await run("cmake", ["--build", buildFolder, "--target", "glimt_addon", "-j", jobs]);
  // Such a kernel is right and slow, which nobody would notice without a GPU.
  const loss = /^.*Potential Performance Loss.*$/m.exec(output);
  if (loss) throw new Error(`ptxas: ${loss[0]}`);
  return join(buildFolder, "glimt.node");
}

/** Why a variant can not be built here, or undefined. */
export async function missingTool(variant) {
  const compiler = variant === "cuda" ? "nvcc" : "g++";
  for (const tool of ["cmake", "ninja", "g++", compiler]) {
    const found = await run(tool, ["--version"]).then(
      () => true,
      () => false,
    );
    if (!found) return `The native addon needs ${tool}, which is not installed.`;
  }
  return undefined;
}

/** @returns what it printed. @throws with that, when it fails. */
function run(command, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
    const chunks = [];
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => chunks.push(chunk));
    child.on("error", reject);
    child.on("close", (code, signal) => {
      const output = Buffer.concat(chunks).toString();
      if (code === 0) resolve(output);
      else reject(new Error(`${output}\n${command} ended with ${signal ?? `exit code ${code}`}.`));
    });
  });
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const variant = process.argv[2] ?? "emulator";
  try {
    if (!(variant in VARIANTS)) {
      throw new Error(`Usage: node bindings/build.mjs [${Object.keys(VARIANTS).join(" | ")}]`);
    }
    console.log(await buildAddon(variant));
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
