/** Counters, gauges and histograms, and Prometheus' text format of them (version 0.0.4). */

export type Labels = Readonly<Record<string, string>>;

/** All that is measured under one name. */
export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  samples(): Iterable<Sample>;
}

export interface Sample {
  /** What follows the family's name. */
  readonly suffix?: string;
  readonly labels: Labels;
  readonly value: number;
}

export const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

export function metricsText(families: readonly Family[]): string {
  return families.map(familyText).join("");
}

function familyText(family: Family): string {
  const { name, help, type } = family;
  const lines = [`# HELP ${name} ${escaped(help)}`, `# TYPE ${name} ${type}`];
  for (const { suffix = "", labels, value } of family.samples()) {
    lines.push(`${name}${suffix}${labelText(labels)} ${numberText(value)}`);
  }
  return `${lines.join("\n")}\n`;
}

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(
    ([name, value]) => `${name}="${escaped(value).replaceAll('"', '\\"')}"`,
  );
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

function numberText(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  if (value === Number.NEGATIVE_INFINITY) return "-Inf";
  return String(value);
}

/** A number for each set of labels that was counted. */
export class Counter implements Family {
  readonly type = "counter";
  readonly name: string;
  readonly help: string;
  readonly #series = new Series(() => ({ value: 0 }));

  constructor(name: string, help: string) {
    this.name = name;
    this.help = help;
  }

  add(labels: Labels, amount = 1): void {
    this.#series.of(labels).value += amount;
  }

  *samples(): Generator<Sample> {
    for (const { labels, held } of this.#series) yield { labels, value: held.value };
  }
}

/** A number that its owner knows, read when it is asked for: of what goes up and down, or was counted elsewhere. */
export class Reading implements Family {
  readonly type: "counter" | "gauge";
  readonly name: string;
  readonly help: string;
  readonly #read: () => readonly Sample[];

  constructor(type: "counter" | "gauge", name: string, help: string, read: () => readonly Sample[]) {
    this.type = type;
    this.name = name;
    this.help = help;
    this.#read = read;
  }

  samples(): Iterable<Sample> {
    return this.#read();
  }
}

/** How often values were at most each of some bounds. */
export class Histogram implements Family {
  readonly type = "histogram";
  readonly name: string;
  readonly help: string;
  readonly #bounds: readonly number[];
  readonly #series: Series<{ readonly counts: number[]; sum: number }>;

  /** @param bounds ascending; the last, infinity, is added */
  constructor(name: string, help: string, bounds: readonly number[]) {
    this.name = name;
    this.help = help;
    this.#bounds = [...bounds, Number.POSITIVE_INFINITY];
    this.#series = new Series(() => ({ counts: this.#bounds.map(() => 0), sum: 0 }));
  }

  observe(labels: Labels, value: number): void {
    const held = this.#series.of(labels);
    const bucket = this.#bounds.findIndex((bound) => value <= bound);
    held.counts[bucket] = (held.counts[bucket] as number) + 1;
    held.sum += value;
  }

  *samples(): Generator<Sample> {
    for (const { labels, held } of this.#series) {
      let count = 0;
      for (const [index, bound] of this.#bounds.entries()) {
        count += held.counts[index] as number;
        yield { suffix: "_bucket", labels: { ...labels, le: numberText(bound) }, value: count };
      }
      yield { suffix: "_sum", labels, value: held.sum };
      yield { suffix: "_count", labels, value: count };
    }
  }
}

/** What is held for each set of labels. */
class Series<T> {
  readonly #make: () => T;
  readonly #held = new Map<string, { readonly labels: Labels; readonly held: T }>();

  constructor(make: () => T) {
    this.#make = make;
  }

  of(labels: Labels): T {
    const key = JSON.stringify(labels);
    let found = this.#held.get(key);
    if (!found) {
      found = { labels, held: this.#make() };
      this.#held.set(key, found);
    }
    return found.held;
  }

  [Symbol.iterator](): Iterator<{ readonly labels: Labels; readonly held: T }> {
    return this.#held.values();
  }
}
