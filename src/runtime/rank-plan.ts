/** What a rank of a device group needs for a request, from its programs. Runs nothing. */
import type { StageName } from "../models/stages.ts";
import { type Communication, communicationOf } from "../program/communication.ts";
import { arenaBytes, bufferBytes, inputBytes, weightBytes } from "../program/sizes.ts";
import type { VerifiedProgram } from "../program/verify-program.ts";
import { wholeRanks } from "../program/weights.ts";
import type { SymbolValues } from "../tensor/dims.ts";

/** What a rank has of the model and of a request, and what it says to the others. */
export interface RankPlan {
  readonly weightBytes: number;
  readonly kvCacheBytes: number;
  /** Of the vision tower's largest run, its inputs, and of the decoder's largest. */
  readonly visionActivationBytes: number;
  readonly visionInputBytes: number;
  readonly decoderActivationBytes: number;
  /** Features of pictures that it reads or makes, and logits. */
  readonly featureBytes: number;
  readonly logitBytes: number;
  /** The most that is held at one time beside the weights, as of the whole model. */
  readonly peakBytes: number;
  /** In the largest run of the tower; in one of the decoder over a part of the prompt, and for one token behind it. */
  readonly communication: Readonly<Record<"encode" | "prefill" | "step", readonly Communication[]>>;
}

/** Values of the programs' symbols in the runs of a request. */
export interface RequestRuns {
  /** By share of the pictures. */
  readonly encode: readonly (readonly (SymbolValues & { readonly patches: number })[])[];
  readonly prefill: SymbolValues;
  readonly step: SymbolValues;
}

/** Of what its programs declare: without the first layers it reads no features, without the head it has no logits. */
export function planRank(
  rank: number,
  programs: Readonly<Partial<Record<StageName, VerifiedProgram>>>,
  { encode, prefill, step }: RequestRuns,
  features: { readonly featureBytes: number; readonly paddedFeatureBytes: number },
): RankPlan {
  const ofRank = (program: VerifiedProgram | undefined) => program?.ranks?.[rank];
  const decoder = ofRank(programs.decoder);
  const declared = decoder?.buffers ?? [];
  const tower = ofRank(programs.vision);
  const hasTower = tower !== undefined && tower.instructions.length > 0;
  // Those that have the whole tower have a share each; the others share all.
  const share = Math.max(0, wholeRanks(programs.vision?.ranks ?? []).indexOf(rank));
  const [run] = (encode[share] ?? []).toSorted((a, b) => b.patches - a.patches);
  const encodes = hasTower && run !== undefined;
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
      encode: encodes ? communicationOf(tower, run) : [],
      prefill: decoder ? communicationOf(decoder, prefill) : [],
      step: decoder ? communicationOf(decoder, step) : [],
    },
  };
}
