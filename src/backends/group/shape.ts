/**
 * How a group's ranks are numbered: a stage of the pipeline after the other, the ranks of its tensor group in order, and then
 * those that encode.
 */

export interface GroupShape {
  /** Ranks that share each layer. */
  readonly tensor: number;
  /** Stages of layers. */
  readonly pipeline: number;
  /** Ranks that encode pictures and do nothing else; default 0. */
  readonly encoders?: number | undefined;
}

export function rankCount(shape: GroupShape): number {
  return stageRankCount(shape) + (shape.encoders ?? 0);
}

/** Of the stages: the first ranks. */
export function stageRankCount({ tensor, pipeline }: Pick<GroupShape, "tensor" | "pipeline">): number {
  return tensor * pipeline;
}

/** The ranks that share layers with `rank`, itself included. */
export function tensorPeers(shape: GroupShape, rank: number): number[] {
  if (rank >= stageRankCount(shape)) return [rank];
  const { tensor } = shape;
  const first = Math.floor(rank / tensor) * tensor;
  return Array.from({ length: tensor }, (_, index) => first + index);
}
