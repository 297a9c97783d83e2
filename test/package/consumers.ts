/** The packed tarball in the bundlers and runtimes that people use it with: each reads the demo picture. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROWS, withTable } from "./consumers/matrix.ts";
import { Project } from "./consumers/project.ts";

/** @returns whether it passed */
type Check = (name: string, task: () => Promise<void>) => Promise<boolean>;

interface Wish {
  /** Whether the README's table is written, which only a run in which all passed does. */
  readonly writesTable: boolean;
  /** Only checks that have the word in their names. */
  readonly only: string | undefined;
}

/** Each is run through `check`; what can not be made here is left out with a line that says why. */
export async function checkConsumers(
  tarball: string,
  check: Check,
  { writesTable, only = "" }: Wish,
): Promise<void> {
  const project = new Project(await mkdtemp(join(tmpdir(), "glimt-consumers-")));
  try {
    const missing = await project.install(tarball);
    if (missing !== undefined) {
      console.log(`left out: bundlers and other runtimes, which can not be installed: ${missing}`);
      return;
    }
    let isWhole = only === "";
    const checks = ROWS.flatMap(({ checks }) => checks).filter(({ name }) => name.includes(only));
    if (checks.length === 0) throw new Error(`no check has "${only}" in its name`);
    for (const { name, without, run } of checks) {
      const reason = without?.(project);
      if (reason !== undefined) console.log(`left out: ${name}, as ${reason}`);
      const passed = reason === undefined && (await check(name, () => run(project)));
      isWhole &&= passed;
    }
    if (writesTable) await writeTable(isWhole);
  } finally {
    await rm(project.folder, { recursive: true, force: true });
  }
}

async function writeTable(isWhole: boolean): Promise<void> {
  if (!isWhole) return console.log("     README.md is left as it is: not all of the matrix passed");
  await writeFile("README.md", await withTable(await readFile("README.md", "utf8")));
}
