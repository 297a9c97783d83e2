/** The include rule of the C++ sources: which folder may use which. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";

const PROGRAM = "src/program/cpp";
const NATIVE = "crates-free-native";
const INTERFACE = `${NATIVE}/include`;

/** What each folder may include beside itself: folders, or single files. */
const MAY_INCLUDE: Readonly<Record<string, readonly string[]>> = {
  [PROGRAM]: [],
  "wasm/kernels": [PROGRAM],
  [INTERFACE]: [],
  // Tests steer the emulator through the runtime.
  [`${NATIVE}/emulator`]: [PROGRAM, `${NATIVE}/runtime/emulator_control.h`],
  // What a kernel is made of decides how it is launched.
  [`${NATIVE}/runtime`]: [PROGRAM, `${NATIVE}/emulator`, `${NATIVE}/kernels/device.h`],
  [`${NATIVE}/kernels`]: [PROGRAM, `${NATIVE}/runtime`, `${NATIVE}/emulator`],
  [`${NATIVE}/executor`]: [
    PROGRAM,
    INTERFACE,
    `${NATIVE}/kernels`,
    `${NATIVE}/runtime`,
    `${NATIVE}/emulator/block.h`,
  ],
  [`${NATIVE}/tests`]: [NATIVE, PROGRAM],
  "bindings/src": [PROGRAM, INTERFACE],
};

/** Where the builds look for a file that is not beside the one that includes it. */
const SEARCHED = [PROGRAM, NATIVE, INTERFACE, "wasm/kernels", "bindings/src"];

/** Everything the rule forbids in the tree at `root`, one line each. */
export function includeViolations(root: string): string[] {
  const top = [...new Set(Object.keys(MAY_INCLUDE).map((folder) => folder.split("/", 1)[0] as string))];
  return top
    .filter((folder) => existsSync(join(root, folder)))
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((file) =>
        join(folder, file),
      ),
    )
    .filter((file) => /\.(cpp|cu|h)$/.test(file))
    .flatMap((file) => fileViolations(root, file));
}

function fileViolations(root: string, file: string): string[] {
  const room = roomOf(file);
  if (room === undefined) return [`${file}: belongs to no room`];
  const text = readFileSync(join(root, file), "utf8");
  return [...text.matchAll(/^\s*#\s*include\s*(["<])([^">]+)[">]/gm)].flatMap(([, quote, name = ""]) => {
    const found = findIncluded(root, file, name);
    if (found === undefined) return quote === "<" ? [] : [`${file} -> ${name}: is not in the tree`];
    const allowed = [room, ...(MAY_INCLUDE[room] as readonly string[])];
    if (allowed.some((place) => found === place || found.startsWith(`${place}/`))) return [];
    return [`${file} -> ${found}: ${room} may include only ${allowed.join(", ")}`];
  });
}

/** The folder of the table that holds the file. */
function roomOf(file: string): string | undefined {
  return Object.keys(MAY_INCLUDE).find((folder) => file.startsWith(`${folder}/`));
}

function findIncluded(root: string, file: string, name: string): string | undefined {
  return [dirname(file), ...SEARCHED]
    .map((folder) => relative(root, join(root, folder, name)))
    .find((path) => existsSync(join(root, path)));
}
