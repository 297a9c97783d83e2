/** The machine and the program that runs on it, as reports name them. */
import { cpus } from "node:os";

export function hostFacts() {
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    processors: cpus().length,
    node: process.version,
    system: `${process.platform} ${process.arch}`,
  };
}
