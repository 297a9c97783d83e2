/** How far the work before the first token is. */

export interface GenerateProgress {
  /**
   * "media": decoding and resizing pictures and videos; "vision": encoding them; "prefill": reading the prompt. Tokens
   * that follow are their own progress.
   */
  readonly stage: "media" | "vision" | "prefill";
  /** 0..1 */
  readonly share: number;
}
