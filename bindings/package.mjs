/**
 * Packs glimt and the packages of its addon: `node bindings/package.mjs [cuda | emulator]`, after `npm run build`.
 * Writes build/packages/*.tgz and prints their sizes. With `emulator` the emulator stands in for the real addon, for
 * the test that installs the tarballs.
 *
 * The packages are laid out, versioned and checked by @napi-rs/cli (package.json, "napi"), in a copy of this package:
 * there they become optional dependencies, which a checkout must not have before they are published.
 */
import { execFile } from "node:child_process";
import { cp, mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { buildAddon } from "./build.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const execute = promisify(execFile);

/** Of @napi-rs/cli, by the folder names it gives. CI builds the one it runs on. */
const PLATFORM = "linux-x64-gnu";
/** Whose code is linked into the addon, beside glimt's own. */
const NOTICES = [
  ["node-addon-api", "node_modules/node-addon-api/LICENSE.md"],
  ["node-api-headers", "node_modules/node-api-headers/LICENSE"],
];
const CUDA_NOTICE = `NVIDIA CUDA Runtime (cudart, linked statically): distributed under the NVIDIA CUDA Toolkit End User
License Agreement, https://docs.nvidia.com/cuda/eula/, which lists it as redistributable.
`;

/** @returns the tarballs, glimt's first, with their sizes in bytes. */
export async function packAll(variant, outDir = join(root, "build/packages")) {
  const addon = await buildAddon(variant);
  const staging = join(outDir, "staging");
  await rm(staging, { recursive: true, force: true });
  await stage(staging, addon);
  const napi = (...args) =>
    execute(process.execPath, [join(root, "node_modules/@napi-rs/cli/dist/cli.js"), ...args], {
      cwd: staging,
    });
  await napi("create-npm-dirs");
  await napi("version");
  await napi("artifacts");
  const platformPackage = join(staging, "npm", PLATFORM);
  await addNotices(platformPackage);
  // Checks that every package is complete; then the run that writes the optional dependencies, publishing nothing.
  await napi("pre-publish", "--no-gh-release", "--dry-run");
  await napi("pre-publish", "--no-gh-release", "--skip-optional-publish");
  const packed = [await pack(staging, outDir), await pack(platformPackage, outDir)];
  await rm(staging, { recursive: true });
  return packed;
}

/** A copy of what glimt publishes, and the addon under the name that @napi-rs/cli looks for. */
async function stage(staging, addon) {
  const manifest = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
  await mkdir(join(staging, "artifacts"), { recursive: true });
  await writeFile(join(staging, "package.json"), JSON.stringify(manifest, null, 2));
  for (const path of manifest.files) {
    // A file that is still to be written is npm's business to miss.
    await cp(join(root, path), join(staging, path), { recursive: true }).catch((error) => {
      if (error.code !== "ENOENT") throw error;
    });
  }
  await cp(addon, join(staging, "artifacts", `${manifest.napi.binaryName}.${PLATFORM}.node`));
}

async function addNotices(folder) {
  const texts = await Promise.all(
    NOTICES.map(async ([name, path]) => `${name}\n\n${await readFile(join(root, path), "utf8")}`),
  );
  await writeFile(
    join(folder, "THIRD_PARTY_LICENSES"),
    [...texts, CUDA_NOTICE].join(`\n${"=".repeat(80)}\n`),
  );
  await cp(join(root, "LICENSE"), join(folder, "LICENSE"));
  const { publishConfig } = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
  const path = join(folder, "package.json");
  const manifest = JSON.parse(await readFile(path, "utf8"));
  manifest.description = "The native addon of glimt for NVIDIA GPUs, CUDA 13.";
  manifest.files.push("THIRD_PARTY_LICENSES");
  manifest.publishConfig = publishConfig;
  await writeFile(path, `${JSON.stringify(manifest, null, 2)}\n`);
}

async function pack(folder, outDir) {
  const args = ["pack", "--json", "--ignore-scripts", "--pack-destination", outDir];
  const { stdout } = await execute("npm", args, { cwd: folder });
  const [{ name, filename, unpackedSize }] = JSON.parse(stdout);
  const path = join(outDir, filename);
  return { name, path, bytes: (await stat(path)).size, unpackedBytes: unpackedSize };
}

const inMebibytes = (bytes) => `${(bytes / 2 ** 20).toFixed(2)} MiB`;

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    for (const { name, path, bytes, unpackedBytes } of await packAll(process.argv[2] ?? "cuda")) {
      console.log(`${name}: ${inMebibytes(bytes)} packed, ${inMebibytes(unpackedBytes)} unpacked (${path})`);
    }
  } catch (error) {
    console.error(error.stderr || error.message);
    process.exitCode = 1;
  }
}
