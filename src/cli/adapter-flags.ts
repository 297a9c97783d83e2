/** `--adapter DIR[:scale]`: which adapters to answer with, named after their folders. */
import type { AdapterSource } from "../index.ts";

/** In the shape loadModel takes; a folder name that is there twice gets a number. */
export function adapterSources(flags: readonly string[]): AdapterSource[] {
  const names = new Set<string>();
  return flags.map((flag) => {
    const { location, scale } = parseAdapterFlag(flag);
    const folder =
      pathOf(location)
        .replace(/[\\/]+$/, "")
        .replace(/^.*[\\/]/, "") || "adapter";
    let name = folder;
    for (let count = 2; names.has(name); count++) name = `${folder}-${count}`;
    names.add(name);
    return { name, location, ...(scale === undefined ? {} : { scale }) };
  });
}

/** Of an address without the host, a password before it, and a signature behind. */
function pathOf(location: string): string {
  return /^https?:/i.test(location) && URL.canParse(location) ? new URL(location).pathname : location;
}

/** A number after the last colon is the scale, unless it is the port of an address. */
export function parseAdapterFlag(flag: string): { location: string; scale?: number } {
  const [, location, scale] = /^(.+):(-?\d+(?:\.\d+)?)$/.exec(flag) ?? [];
  if (location === undefined || /^\w+:\/\/[^/]*$/.test(location)) return { location: flag };
  return { location, scale: Number(scale) };
}
