export interface Answer {
  readonly text: string;
  readonly tokenIds: readonly number[];
}
export const CHECKPOINT: string;
export const PICTURE: string;
export function answer(loadModel: unknown, checkpoint: unknown, image: unknown): Promise<Answer>;
