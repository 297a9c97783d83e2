export interface Answer {
  readonly text: string;
  readonly tokenIds: readonly number[];
  readonly json: { readonly line: string; readonly row: number };
  readonly calls: readonly {
    readonly name: string;
    readonly arguments: { readonly line: string; readonly row: number };
  }[];
}
export const CHECKPOINT: string;
export const PICTURE: string;
export function answer(loadModel: unknown, checkpoint: unknown, image: unknown): Promise<Answer>;
