/**
 * A chat template as transformers renders it: Jinja2's immutable sandbox with trim_blocks, lstrip_blocks, loop
 * controls and `{% generation %}`.
 */
import { GlimtError } from "../../errors.ts";
import { type CompiledTemplate, compileTemplate } from "./compiler.ts";
import { fromJson } from "./from-json.ts";
import { parseTemplate } from "./parser.ts";
import { Runtime, TemplateFailure } from "./runtime.ts";

/** Many times what any checkpoint has. */
const MAX_SOURCE = 1024 * 1024;

export class Template {
  readonly #compiled: CompiledTemplate;

  /** @throws TEMPLATE_INVALID naming the line, when it is no Jinja */
  constructor(source: string) {
    if (source.length > MAX_SOURCE) {
      throw new GlimtError(
        "TEMPLATE_INVALID",
        `The chat template has ${source.length} characters; more than ${MAX_SOURCE} are not read.`,
      );
    }
    this.#compiled = told(
      () => compileTemplate(parseTemplate(source)),
      () => undefined,
    );
  }

  /** Whether it looks at a variable of this name that it is given. */
  reads(name: string): boolean {
    return this.#compiled.variables.has(name);
  }

  /**
   * @param context by name what JSON could hold, or `parseExactJson` gave
   * @throws TEMPLATE_INVALID naming the line, when it raises or goes on for too long; INPUT_INVALID for other values
   */
  render(context: Readonly<Record<string, unknown>>): string {
    const given = new Map(
      Object.entries(context).flatMap(([name, value]) =>
        value === undefined ? [] : [[name, fromJson(value, name)] as const],
      ),
    );
    const rt = new Runtime();
    return told(
      () => this.#compiled.render(rt, given),
      () => rt.line,
    );
  }
}

function told<T>(run: () => T, lineNow: () => number | undefined): T {
  try {
    return run();
  } catch (cause) {
    if (cause instanceof GlimtError) throw cause;
    const line = (cause instanceof TemplateFailure ? cause.line : undefined) ?? lineNow();
    // What else is thrown is the engine's word for a stack or text that grew too large.
    const problem =
      cause instanceof TemplateFailure ? cause.message : `it is too deep or too large (${cause})`;
    const place = line === undefined ? "" : ` in line ${line}`;
    throw new GlimtError("TEMPLATE_INVALID", `The chat template failed${place}: ${problem}`, { cause });
  }
}
