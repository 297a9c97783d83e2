/** How a group's ranks are numbered: a stage of the pipeline after the other, the ranks of its tensor group in order. */

export interface GroupShape {
  /** Ranks that share each layer. */
  readonly tensor: number;
  /** Stages of layers. */
  readonly pipeline: number;
}

export function rankCount({ tensor, pipeline }: GroupShape): number {
  return tensor * pipeline;
}

/** The ranks that share layers with `rank`, itself included. */
export function tensorPeers({ tensor }: GroupShape, rank: number): number[] {
  const first = Math.floor(rank / tensor) * tensor;
  return Array.from({ length: tensor }, (_, index) => first + index);
}
