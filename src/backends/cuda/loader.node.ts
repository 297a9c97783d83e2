/**
 * Finds the native addon and loads it: the override, a local build, the platform package, in this order. A candidate is
 * tried in a child process first, because a driver that does not fit can take the process down.
 */
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { GlimtError } from "../../errors.ts";
import { type CudaAddon, type DeviceInfo, refuseAddon } from "./addon.ts";
import { refuseDevice } from "./device.ts";
import { tryInChild } from "./trial.node.ts";

export const ADDON_VARIABLE = "GLIMT_CUDA_ADDON";
/** One package name per CUDA major; the addon needs a driver for that one or newer. */
const PACKAGE_PREFIX = "@glimt/cuda13";
const LOCAL = "local build";
const LOCAL_BUILD = "build/bindings/cuda13/glimt.node";
/** Platforms that packages are published for (package.json, "napi"). */
const PACKAGED_PLATFORMS = ["linux-x64-gnu"];

export interface Candidate {
  readonly source: string;
  readonly path: string;
  /** What to do when it does not work. */
  readonly remedy: string;
}

export interface FoundAddon {
  readonly path: string;
  readonly device: DeviceInfo;
}

export interface Refusal {
  readonly source: string;
  /** What is wrong and what to do. */
  readonly reason: string;
  /** The addon is fine, the machine is not. */
  readonly isMachine?: boolean;
  /** There is none, and nobody said that there should be. */
  readonly isAbsent?: boolean;
}

export interface Search {
  /** The one addon to try, of whatever kind: for tests, benchmarks and `glimt conformance --cuda-addon`. */
  readonly addonPath?: string | undefined;
  /** Ordinal of the device. */
  readonly device: number;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Folder of glimt's own package.json; default: above this file. */
  readonly root?: string | undefined;
  /** E.g. "linux-x64-gnu"; default: this machine's. */
  readonly platform?: string;
}

/** @returns the first addon that works here, or why each candidate does not. */
export async function findAddon(search: Search): Promise<FoundAddon | readonly Refusal[]> {
  let all: readonly (Candidate | Refusal)[];
  try {
    all = candidates(search);
  } catch (error) {
    // Deno refuses to tell what it has no permission for.
    return [
      { source: "this machine", reason: `it can not be looked at: ${messageOf(error)}`, isAbsent: true },
    ];
  }
  const refusals: Refusal[] = [];
  for (const candidate of all) {
    const outcome = "reason" in candidate ? candidate : await tryCandidate(candidate, search);
    if ("path" in outcome) return outcome;
    refusals.push(outcome);
    // What the machine lacks, it lacks for every addon.
    if (outcome.isMachine) break;
  }
  return refusals;
}

/** An explicit choice is the only candidate: its failure is never covered up by another. */
function candidates(search: Search): (Candidate | Refusal)[] {
  const { addonPath, env = process.env, root = packageRoot(), platform = thisPlatform() } = search;
  if (addonPath !== undefined) {
    return [
      { source: "addonPath", path: resolve(addonPath), remedy: "Correct the path or build the addon." },
    ];
  }
  const override = env[ADDON_VARIABLE];
  if (override) {
    return [
      { source: ADDON_VARIABLE, path: resolve(override), remedy: `Correct ${ADDON_VARIABLE} or unset it.` },
    ];
  }
  const isCheckout = root !== undefined && existsSync(join(root, "bindings"));
  const local: Candidate[] = isCheckout
    ? [
        {
          source: LOCAL,
          path: join(root, LOCAL_BUILD),
          remedy: "Build it with `npm run build:native cuda`.",
        },
      ]
    : [];
  return [...local, packaged(platform, root)];
}

function packaged(platform: string, root: string | undefined): Candidate | Refusal {
  const name = `${PACKAGE_PREFIX}-${platform}`;
  const source = `package ${name}`;
  if (!PACKAGED_PLATFORMS.includes(platform)) {
    return {
      source,
      reason: `There is no CUDA build for ${platform}; there is one for ${PACKAGED_PLATFORMS.join(", ")}.`,
      isAbsent: true,
    };
  }
  // Not on the npm registry yet: docs/gpu.md says how it is packed.
  const remedy = "Pack it in a checkout of this version with `npm run package:native`, and install that.";
  const from = root === undefined ? import.meta.url : join(root, "package.json");
  try {
    return { source, path: createRequire(from).resolve(name), remedy };
  } catch {
    return { source, reason: `It is not installed. ${remedy}`, isAbsent: true };
  }
}

async function tryCandidate(
  { source, path, remedy }: Candidate,
  { addonPath, device }: Search,
): Promise<FoundAddon | Refusal> {
  if (!existsSync(path)) {
    return { source, reason: `${path} does not exist. ${remedy}`, isAbsent: source === LOCAL };
  }
  const trial = await tryInChild(path, device);
  if ("failure" in trial) return { source, reason: `${path} can not be loaded: ${trial.failure}. ${remedy}` };
  const { addon } = trial;
  const misfit = refuseAddon(addon);
  if (misfit) return { source, reason: `${path} does not fit: ${misfit}. ${remedy}` };
  if (addon.kind === "emulator" && addonPath === undefined) {
    return { source, reason: `${path} is the CPU emulator, which is for tests only. ${remedy}` };
  }
  if ("machine" in trial) return { source, reason: trial.machine, isMachine: true };
  const unfit = refuseDevice(addon.kind, trial.device);
  return unfit ? { source, reason: unfit, isMachine: true } : { path, device: trial.device };
}

/** Loads an addon that `findAddon` found. @throws BACKEND_UNAVAILABLE when it changed meanwhile. */
export function loadAddon({ path }: FoundAddon): CudaAddon {
  const loaded: unknown = createRequire(import.meta.url)(path);
  const misfit = refuseAddon(loaded);
  if (misfit) throw new GlimtError("BACKEND_UNAVAILABLE", `${path} does not fit: ${misfit}.`);
  return loaded as CudaAddon;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Platform, architecture and C library as napi-rs names them. */
function thisPlatform(): string {
  const { platform, arch } = process;
  return platform === "linux" ? `${platform}-${arch}-${usesGlibc() ? "gnu" : "musl"}` : `${platform}-${arch}`;
}

function usesGlibc(): boolean {
  const report = process.report as typeof process.report & { excludeNetwork?: boolean };
  const before = report.excludeNetwork;
  // The names of open connections' other ends would be looked up, one by one.
  report.excludeNetwork = true;
  const { header } = report.getReport() as { header?: { glibcVersionRuntime?: string } };
  if (before !== undefined) report.excludeNetwork = before;
  return header?.glibcVersionRuntime !== undefined;
}

/** The folder of glimt's package.json above this file, wherever the bundler put it. */
function packageRoot(): string | undefined {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    if (isGlimt(join(folder, "package.json"))) return folder;
    if (folder === dirname(folder)) return undefined;
  }
}

function isGlimt(file: string): boolean {
  try {
    return (JSON.parse(readFileSync(file, "utf8")) as { name?: string }).name === "glimt";
  } catch {
    return false;
  }
}
