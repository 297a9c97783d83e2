/** `glimt demo`: a picture read by the demo checkpoint, which a package of its own brings. */
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { Command } from "commander";
import { GlimtError } from "../errors.ts";
import { runCommand } from "./run.ts";

const PACKAGE = "@glimt/demo";

export function demoCommand(): Command {
  return new Command("demo")
    .description(`read a picture with the demo checkpoint, which the package ${PACKAGE} holds`)
    .argument("[picture]", "a picture of short printed lines (default: one of the package's own)")
    .action(demo);
}

async function demo(picture: string | undefined): Promise<void> {
  const folder = packageFolder();
  const checkpoint = join(folder, "checkpoint");
  const image = picture ?? join(folder, "pictures/hello.png");
  console.error(`The demo checkpoint reads ${image}:`);
  await runCommand().parseAsync([checkpoint, "Text Recognition:", "--image", image], { from: "user" });
  console.error(
    `\nIt reads short printed lines alone. A model of the Hub: glimt run zai-org/GLM-OCR --image page.png "Text Recognition:"`,
  );
}

/** Beside what is being worked on, or beside glimt. @throws CHECKPOINT_NOT_FOUND */
function packageFolder(): string {
  for (const from of [resolve("package.json"), import.meta.url]) {
    try {
      return dirname(createRequire(from).resolve(`${PACKAGE}/package.json`));
    } catch {
      // The other may know it.
    }
  }
  throw new GlimtError(
    "CHECKPOINT_NOT_FOUND",
    `The demo checkpoint is a package of its own: npm i ${PACKAGE} (7 MB).`,
  );
}
