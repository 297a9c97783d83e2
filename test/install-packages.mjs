/** Packages that only a folder of tests needs: those of its package.json, installed beside it where the registry answers. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";

/** @returns why they can not be had; undefined when they are there */
export function installPackages(folder) {
  const manifest = readFileSync(join(folder, "package.json"), "utf8");
  const modules = join(folder, "node_modules");
  // Of whom they are, so that new versions are installed.
  const mark = join(modules, ".installed");
  if (existsSync(mark) && readFileSync(mark, "utf8") === manifest) return undefined;
  const staging = join(folder, "../../build", `${basename(folder)}.${process.pid}`);
  try {
    mkdirSync(staging, { recursive: true });
    writeFileSync(join(staging, "package.json"), manifest);
    const flags = ["--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--loglevel=error"];
    const { status, stderr, error } = spawnSync("npm", ["install", ...flags], {
      cwd: staging,
      encoding: "utf8",
    });
    if (status !== 0) return `${(error?.message ?? stderr).trim().split("\n")[0]}`;
    writeFileSync(join(staging, "node_modules/.installed"), manifest);
    rmSync(modules, { recursive: true, force: true });
    renameSync(join(staging, "node_modules"), modules);
    return undefined;
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
}
