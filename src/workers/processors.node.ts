/** How many threads of this process can compute at full speed, in Node and runtimes that have its modules. */

import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";

/** The text of a file, undefined where there is none. */
export type ReadText = (path: string) => string | undefined;

/**
 * Cores rather than processors where Linux says which ones share a core, and no more than the control group's quota of
 * time lets run.
 */
export function usableCores(read: ReadText = readText, available = availableProcessors()): number {
  const least = Math.min(available, coresAllowed(read) ?? available, Math.floor(quota(read)));
  return Math.max(1, least);
}

/** Cores among the processors that this process may run on. */
function coresAllowed(read: ReadText): number | undefined {
  const list = /^Cpus_allowed_list:\s*(\S+)/m.exec(read("/proc/self/status") ?? "")?.[1];
  if (list === undefined) return undefined;
  const cores = new Set<string>();
  for (const processor of numbersIn(list)) {
    const siblings = read(`/sys/devices/system/cpu/cpu${processor}/topology/thread_siblings_list`);
    if (siblings === undefined) return undefined;
    cores.add(siblings.trim());
  }
  return cores.size;
}

/** "0-2,5" as Linux writes lists of processors. */
function numbersIn(list: string): number[] {
  return list.split(",").flatMap((range) => {
    const [first = 0, last = first] = range.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
}

/** Processors that the control groups of this process, and those they are in, give it the time of. */
function quota(read: ReadText): number {
  let least = Number.POSITIVE_INFINITY;
  for (const line of (read("/proc/self/cgroup") ?? "").split("\n")) {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    if (path === undefined) continue;
    if (controllers === "") {
      for (const folder of foldersTo("/sys/fs/cgroup", path)) {
        const [most, period] = (read(`${folder}/cpu.max`) ?? "max").split(/\s+/).map(Number);
        if (most && period) least = Math.min(least, most / period);
      }
    } else if (controllers?.split(",").includes("cpu")) {
      for (const folder of foldersTo("/sys/fs/cgroup/cpu", path)) {
        const most = Number(read(`${folder}/cpu.cfs_quota_us`) ?? -1);
        const period = Number(read(`${folder}/cpu.cfs_period_us`));
        if (most > 0 && period > 0) least = Math.min(least, most / period);
      }
    }
  }
  return least;
}

/** `root` and each folder on the way to `path` in it. */
function foldersTo(root: string, path: string): string[] {
  const names = path.split("/").filter((name) => name !== "");
  return [root, ...names.map((_, index) => [root, ...names.slice(0, index + 1)].join("/"))];
}

function availableProcessors(): number {
  try {
    return availableParallelism();
  } catch {
    // Deno may need a permission that it was not given.
    return 1;
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
