/** Holds what the graphs ask for against what the checkpoint has; every difference is told at once. */
import { GlimtError } from "../errors.ts";
import {
  type IndexRange,
  sourceRectangle,
  type WeightSource,
  type WeightSpec,
} from "../graph/weight-spec.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { type Aside, asideReason } from "./names.ts";
import { shownName, shownValue } from "./shown.ts";
import type { CheckpointTensor } from "./stored-weight.ts";
import { type ResolvedSource, sourceOffset, WeightReader } from "./weight-reader.ts";

export interface ResolvedWeights {
  /** One for each spec, in their order. */
  readonly weights: readonly WeightReader[];
  /** Tensors the plain model does without, by published name. */
  readonly aside: ReadonlyMap<string, Aside>;
}

/** Names shown of each kind of complaint. */
const LISTED = 20;

/**
 * Tensors that nobody asks for are set aside, as transformers does.
 *
 * @throws WEIGHTS_INVALID naming every tensor that is missing, misshapen or of another dtype, and the unknown ones
 */
export function resolveWeights(checkpoint: Checkpoint, specs: readonly WeightSpec[]): ResolvedWeights {
  const { tensors, config, files } = checkpoint;
  const asked = new Set<string>();
  const missing: string[] = [];
  const wrong: string[] = [];
  const resolve = (source: WeightSource): ResolvedSource | null => {
    asked.add(source.tensor);
    const tensor = tensors.get(source.tensor);
    if (!tensor) missing.push(source.tensor);
    const complaint = tensor && mismatch(tensor, source);
    if (complaint) wrong.push(`${shownName(source.tensor)} ${complaint}`);
    return tensor && tensor.refusal === undefined && !complaint ? { ...source, tensor } : null;
  };

  const positions = filePositions(checkpoint);
  const weights: WeightReader[] = [];
  for (const spec of specs) {
    checkSpec(spec);
    const sources = spec.sources.map(resolve);
    if (sources.every((source) => source !== null)) {
      const starts = sources.map((source) => (positions.get(source.tensor.file) ?? 0) + sourceOffset(source));
      weights.push(new WeightReader(spec, sources, Math.min(...starts)));
    }
  }

  const aside = new Map<string, Aside>();
  const unknown: string[] = [];
  for (const name of tensors.keys()) {
    if (asked.has(name)) continue;
    const reason = asideReason(name, config.text.numHiddenLayers);
    aside.set(name, reason);
    if (reason === "unknown") unknown.push(name);
  }
  if (missing.length > 0 || wrong.length > 0) {
    // The name of one may be the misspelt name of another.
    const complaints = [
      list("missing", missing.map(shownName)),
      list("not as expected", wrong),
      list("unknown", unknown.map(shownName)),
    ];
    throw new GlimtError(
      "WEIGHTS_INVALID",
      `The weights in ${files.location} do not fit ${config.architecture}.${complaints.join("")}`,
    );
  }
  return { weights, aside };
}

/** Where each file begins when all are laid end to end. */
function filePositions({ weightFiles }: Checkpoint): Map<string, number> {
  const positions = new Map<string, number>();
  let position = 0;
  for (const { name, bytes } of weightFiles) {
    positions.set(name, position);
    position += bytes;
  }
  return positions;
}

function mismatch(tensor: CheckpointTensor, source: WeightSource): string | null {
  // The shape of what can not be read may be that of a part of it.
  if (tensor.refusal !== undefined) return tensor.refusal;
  if (tensor.shape.join() !== source.shape.join()) {
    return `has shape ${shownValue(tensor.shape)}, expected [${source.shape.join(", ")}]`;
  }
  return null;
}

/** A spec that does not add up is a mistake in a graph, not in a checkpoint. */
function checkSpec({ name, shape, sources }: WeightSpec): void {
  for (const source of sources) {
    const { rows, cols, tensorCols } = sourceRectangle(source);
    const isInside =
      isRange(rows, source.shape[0] ?? 1) &&
      isRange(cols, tensorCols) &&
      !(source.layout === "conv2x2" && source.cols);
    if (isInside) continue;
    throw new GlimtError(
      "GRAPH_INVALID",
      `Weight "${name}": rows ${rangeText(rows)} and columns ${rangeText(cols)} are no part of ${source.tensor} [${source.shape.join(", ")}] (${source.layout}).`,
    );
  }
  const parts = sources.map(sourceRectangle);
  const wanted = sourceRectangle({ shape });
  const rows = parts.reduce((sum, part) => sum + part.rows.count, 0);
  if (rows === wanted.rows.count && parts.every(({ cols }) => cols.count === wanted.cols.count)) return;
  throw new GlimtError(
    "GRAPH_INVALID",
    `Weight "${name}" [${shape.join(", ")}] is not the sum of its tensors.`,
  );
}

function isRange({ first, count }: IndexRange, size: number): boolean {
  const whole = Number.isInteger(first) && Number.isInteger(count);
  return whole && first >= 0 && count >= 0 && first + count <= size;
}

function rangeText({ first, count }: IndexRange): string {
  return `${first}..${first + count}`;
}

function list(kind: string, names: readonly string[]): string {
  if (names.length === 0) return "";
  const more = names.length > LISTED ? `, and ${names.length - LISTED} more` : "";
  return ` ${names.length} ${kind}: ${names.slice(0, LISTED).join(", ")}${more}.`;
}
