/** A row of the matrix: a runtime or a bundler, and what shows that the package works in it. */
import type { Project } from "./project.ts";

export interface Row {
  /** As the README has it. */
  readonly name: string;
  /** How the package is used there, for the README. */
  readonly how: string;
  /** Tools of consumers/package.json that it is checked with. */
  readonly tools: readonly string[];
  readonly checks: readonly RowCheck[];
}

export interface RowCheck {
  readonly name: string;
  /** Why it can not be made here. */
  readonly without?: (project: Project) => string | undefined;
  readonly run: (project: Project) => Promise<void>;
}
