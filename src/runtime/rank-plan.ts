/** What a rank of a device group needs for a request, from its programs. Runs nothing. */
import type { StageName } from "../models/stages.ts";
import { type Communication, communicationOf } from "../program/communication.ts";
import { arenaBytes, bufferBytes, inputBytes, weightBytes } from "../program/sizes.ts";
import type { VerifiedProgram } from "../program/verify-program.ts";
import type { SymbolValues } from "../tensor/dims.ts";

/** What a rank has of the model and of a request, and what it says to the others. */
export interface RankPlan {
  readonly weightBytes: number;
  readonly kvCacheBytes: number;
  /** Of the vision tower's largest run with its inputs, and of the decoder's. */
  readonly visionBytes: number;
  readonly decoderBytes: number;
  /** The most that is held at one time beside the weights. */
  readonly peakBytes: number;
  /** In the largest run of the tower; in one of the decoder over a part of the prompt, and for one token behind it. */
  readonly communication: Readonly<Record<"encode" | "prefill" | "step", readonly Communication[]>>;
}

/** Values of the programs' symbols in the runs of a request. */
export interface RequestRuns {
  readonly encode: readonly (SymbolValues & { readonly patches: number })[];
  readonly prefill: SymbolValues;
  readonly step: SymbolValues;
}

/** Of what its programs declare: without the first layers it holds no features, without the head no logits. */
export function planRank(
  rank: number,
  programs: Readonly<Partial<Record<StageName, VerifiedProgram>>>,
  { encode, prefill, step }: RequestRuns,
  features: { readonly featureBytes: number; readonly paddedFeatureBytes: number },
): RankPlan {
  const ofRank = (program: VerifiedProgram | undefined) => program?.ranks?.[rank];
  const decoder = ofRank(programs.decoder);
  const tower = ofRank(programs.vision);
  const buffers = decoder?.buffers ?? [];
  const [largest] = encode.toSorted((a, b) => b.patches - a.patches);
  const encodes = tower && tower.instructions.length > 0 && largest !== undefined;
  const visionBytes = encodes ? arenaBytes(tower, largest) + inputBytes(tower, largest) : 0;
  const decoderBytes = decoder ? arenaBytes(decoder, prefill) : 0;
  const caches = [...buffers, ...(ofRank(programs.mtp)?.buffers ?? [])].filter(
    ({ kind }) => kind === "state",
  );
  const kvCacheBytes = caches.reduce((sum, buffer) => sum + bufferBytes(buffer, step), 0);
  const logits = buffers.find(({ name }) => name === "logits");
  return {
    weightBytes: weightBytes(Object.values(programs).flatMap((program) => ofRank(program) ?? [])),
    kvCacheBytes,
    visionBytes,
    decoderBytes,
    peakBytes:
      Math.max(visionBytes, decoderBytes) +
      kvCacheBytes +
      (buffers.some(({ name }) => name === "features") ? features.featureBytes : 0) +
      (encodes ? features.paddedFeatureBytes : 0) +
      (logits ? bufferBytes(logits, step) : 0),
    communication: {
      encode: encodes ? communicationOf(tower, largest) : [],
      prefill: decoder ? communicationOf(decoder, prefill) : [],
      step: decoder ? communicationOf(decoder, step) : [],
    },
  };
}
