/** Deno and Bun. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { CHECKPOINT, PICTURE } from "./programs.ts";
import type { Row } from "./row.ts";

export const DENO: Row = {
  name: "Deno",
  how: "with `--allow-read` of the program, the checkpoint and the pictures alone",
  tools: ["deno"],
  checks: [
    {
      name: "Deno with what its permissions must be",
      run: (project) => {
        const folders = [project.folder, CHECKPOINT, dirname(PICTURE)].join();
        return project.answers(project.bin("deno"), [
          "run",
          "--no-prompt",
          `--allow-read=${folders}`,
          "program.mjs",
        ]);
      },
    },
    {
      name: "Deno without permissions says what is missing",
      run: async (project) => {
        const refused = await project
          .run(project.bin("deno"), ["run", "--no-prompt", "program.mjs"])
          .catch((error) => error);
        if (!/GlimtError/.test(refused.stderr) || !/--allow-read/.test(refused.stderr))
          throw new Error(refused.stderr);
      },
    },
    {
      name: "Deno, a server",
      run: (project) => project.answers(project.bin("deno"), ["run", "--allow-all", "serve.mjs"]),
    },
  ],
};

export const BUN: Row = {
  name: "Bun",
  how: "as a script, and as one file of `bun build --compile`",
  tools: ["bun"],
  checks: [
    { name: "Bun", run: (project) => project.answers(project.bin("bun"), ["run", "program.mjs"]) },
    { name: "Bun, a server", run: (project) => project.answers(project.bin("bun"), ["run", "serve.mjs"]) },
    {
      name: "Bun, compiled to one file",
      run: async (project) => {
        // Away from the project, whose files it could find otherwise.
        const folder = await mkdtemp(join(tmpdir(), "glimt-compiled-"));
        try {
          const program = join(folder, "program");
          await project.run(project.bin("bun"), ["build", "--compile", "program.mjs", "--outfile", program]);
          await project.answers(program, []);
        } finally {
          await rm(folder, { recursive: true, force: true });
        }
      },
    },
  ],
};
