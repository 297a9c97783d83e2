/** Node.js, each version that is maintained. */
import type { Project } from "./project.ts";
import type { Row } from "./row.ts";

const VERSIONS = ["node20", "node22", "node24"];
const node = (version: string) => `node_modules/${version}/bin/node`;
/** Its packages are for one platform. */
const without = (version: string) => (project: Project) =>
  project.has(node(version)) ? undefined : `${version} is not to be had for this platform`;

export const NODE: Row = {
  name: "Node.js",
  how: "`import`, and `require` from 20.19 and 22.12 on; CUDA on Linux",
  tools: VERSIONS,
  checks: VERSIONS.flatMap((version) => [
    {
      name: `${version}, import`,
      without: without(version),
      run: (project) => project.answers(project.path(node(version)), ["program.mjs"]),
    },
    {
      name: `${version}, require`,
      without: without(version),
      run: (project) => project.answers(project.path(node(version)), ["requiring.cjs"]),
    },
    {
      name: `${version}, a server`,
      without: without(version),
      run: (project) => project.answers(project.path(node(version)), ["serve.mjs"]),
    },
  ]),
};
