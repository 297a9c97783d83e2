/** What a rank of a device group needs for a request, from its programs. Runs nothing. */
import type { StageName } from "../models/stages.ts";
import { type Communication, communicationOf } from "../program/communication.ts";
import type { ProgramBuffer } from "../program/program.ts";
import { arenaBytes, bufferBytes, inputBytes, weightBytes } from "../program/sizes.ts";
import type { VerifiedProgram } from "../program/verify-program.ts";
import type { SymbolValues } from "../tensor/dims.ts";
import { storageBytes } from "../tensor/storage.ts";
import type { EncoderItemSpec } from "./encoder-batch.ts";
import { encoderRanks } from "./encoder-shares.ts";

/** What a rank has of the model and of a request, and what it says to the others. */
export interface RankPlan {
  /** Of its part of the weights. */
  readonly weightBytes: number;
  /** Of its part of the request's KV cache. */
  readonly kvCacheBytes: number;
  /** Activations of the vision tower's largest run. */
  readonly visionActivationBytes: number;
  /** Inputs of the vision tower's largest run. */
  readonly visionInputBytes: number;
  /** Activations of the decoder's largest run. */
  readonly decoderActivationBytes: number;
  /** Features of pictures that it reads or makes. */
  readonly featureBytes: number;
  /** Logits that it has. */
  readonly logitBytes: number;
  /** The most that is held at one time beside the weights, as of the whole model. */
  readonly peakBytes: number;
  /** In the largest run of the tower; in one of the decoder over a part of the prompt, and for one token behind it. */
  readonly communication: Readonly<Record<"encode" | "prefill" | "step", readonly Communication[]>>;
}

/** Values of the programs' symbols in the runs of a request. */
export interface RequestRuns {
  /** By share of the pictures. */
  readonly encode: readonly (readonly EncodeRun[])[];
  readonly prefill: SymbolValues;
  readonly step: SymbolValues;
}

/** A run of the tower. */
export interface EncodeRun {
  readonly symbols: SymbolValues & { readonly patches: number };
  readonly items: readonly EncoderItemSpec[];
}

/** Of what its programs declare: without the first layers it reads no features, without the head it has no logits. */
export function planRank(
  rank: number,
  programs: Readonly<Record<"decoder", VerifiedProgram>> &
    Readonly<Partial<Record<StageName, VerifiedProgram>>>,
  { encode, prefill, step }: RequestRuns,
  features: { readonly featureBytes: number; readonly paddedFeatureBytes: number },
): RankPlan {
  const ofRank = (program: VerifiedProgram | undefined) => program?.ranks?.[rank];
  const decoder = ofRank(programs.decoder);
  const declared = decoder?.buffers ?? [];
  const tower = ofRank(programs.vision);
  const hasTower = tower !== undefined && tower.instructions.length > 0;
  // Those that have the whole tower have a share each; the others share all.
  const { ranks: encoders, isDealt } = encoderRanks(programs.vision, programs.decoder);
  const share = Math.max(0, encoders.indexOf(rank));
  const [largest] = (encode[share] ?? []).toSorted((a, b) => b.symbols.patches - a.symbols.patches);
  const run = largest?.symbols;
  const encodes = hasTower && run !== undefined;
  const spread = encodes && isDealt ? [spreadOf(largest as EncodeRun, tower)] : [];
  // The program that drafts has the decoder's caches, and one more.
  const caches = (ofRank(programs.drafting)?.buffers ?? declared).filter(({ kind }) => kind === "state");
  const logits = declared.find(({ name }) => name === "logits");
  const plan = {
    weightBytes: weightBytes(Object.values(programs).flatMap((program) => ofRank(program) ?? [])),
    kvCacheBytes: caches.reduce((sum, buffer) => sum + bufferBytes(buffer, step), 0),
    visionActivationBytes: encodes ? arenaBytes(tower, run) : 0,
    visionInputBytes: encodes ? inputBytes(tower, run) : 0,
    decoderActivationBytes: decoder ? arenaBytes(decoder, prefill) : 0,
    featureBytes:
      (declared.some(({ name }) => name === "features") ? features.featureBytes : 0) +
      (hasTower ? features.paddedFeatureBytes : 0),
    logitBytes: logits ? bufferBytes(logits, step) : 0,
  };
  const { visionActivationBytes, visionInputBytes, decoderActivationBytes } = plan;
  return {
    ...plan,
    peakBytes:
      Math.max(visionActivationBytes + visionInputBytes, decoderActivationBytes) +
      plan.kvCacheBytes +
      plan.featureBytes +
      plan.logitBytes,
    communication: {
      encode: encodes ? [...communicationOf(tower, run), ...spread] : [],
      prefill: decoder ? communicationOf(decoder, prefill) : [],
      step: decoder ? communicationOf(decoder, step) : [],
    },
  };
}

/** Each item's features by themselves, once whoever gets them. */
function spreadOf({ items }: EncodeRun, { buffers }: VerifiedProgram): Communication {
  const { dtype, cols } = buffers.find(({ kind }) => kind === "output") as ProgramBuffer;
  const features = items.reduce((sum, { outputTokens }) => sum + outputTokens, 0);
  return { op: "spread", operations: items.length, bytes: storageBytes(dtype, features, cols as number) };
}
