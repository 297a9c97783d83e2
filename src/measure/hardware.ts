/** Figures of devices and of the links between them, measured or published: what times are predicted from. */
import { GlimtError } from "../errors.ts";

/** Between the devices of a tensor group, and from each to its peer in the next pipeline stage. */
export interface Link {
  /** In one direction, as a collective of many bytes gets them. */
  readonly bytesPerSecond: number;
  /** What a collective of few bytes takes. */
  readonly operationSeconds: number;
}

export interface Hardware {
  readonly name: string;
  /** Where the figures come from. */
  readonly source: string;
  readonly memoryBytes: number;
  /** As kernels that read weights or caches get them. */
  readonly memoryBytesPerSecond: number;
  /** Of multiply-adds, two each, as large products get them. */
  readonly operationsPerSecond: number;
  /** What an instruction takes that has next to nothing to do. */
  readonly instructionSeconds: number;
  readonly link: Link;
}

const FIGURES = ["memoryBytes", "memoryBytesPerSecond", "operationsPerSecond", "instructionSeconds"] as const;
const LINK_FIGURES = ["bytesPerSecond", "operationSeconds"] as const;

/** @throws OPTION_INVALID naming the key that is missing or no positive number */
export function readHardware(json: unknown): Hardware {
  const given = (json ?? {}) as Record<string, unknown>;
  const link = (given.link ?? {}) as Record<string, unknown>;
  const figure = (from: Record<string, unknown>, name: string): number => {
    const value = from[name];
    if (typeof value === "number" && Number.isFinite(value) && value > 0) return value;
    throw new GlimtError("OPTION_INVALID", `Hardware: "${name}" must be a positive number.`);
  };
  const text = (name: string): string => {
    const value = given[name];
    if (typeof value === "string") return value;
    throw new GlimtError("OPTION_INVALID", `Hardware: "${name}" must be a text.`);
  };
  const figures = Object.fromEntries(FIGURES.map((name) => [name, figure(given, name)]));
  return {
    name: text("name"),
    source: text("source"),
    ...(figures as Record<(typeof FIGURES)[number], number>),
    link: Object.fromEntries(LINK_FIGURES.map((name) => [name, figure(link, name)])) as unknown as Link,
  };
}
