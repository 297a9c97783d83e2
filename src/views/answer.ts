/** An answer's tokens, each over what it looked at most. */

import type { MediaAttention } from "../prompt/attention-over-media.ts";
import { escaped, grouped, percent } from "./markup.ts";
import { patchGridSvg } from "./patch-grid.ts";
import { type PromptToken, tokenHtml } from "./prompt.ts";

/** A token and what of its attention lies on each image and video. */
export interface AnswerToken extends Pick<PromptToken, "bytes"> {
  readonly media: readonly MediaAttention[];
}

export interface ShownAnswer {
  readonly text: string;
  /** Of the first answer, the first ones. */
  readonly tokens: readonly AnswerToken[];
  /** Tokens that it has. */
  readonly numTokens: number;
}

/** What tokens are drawn over. */
export interface AnswerGround {
  /** "picture 1". */
  readonly name: string;
  /** Pixels that its frames were resized to. */
  readonly width: number;
  readonly height: number;
  /** #id in the page of the picture, or of a frame of each of the video's temporal patches; nothing where it is not shown. */
  readonly images: readonly (string | undefined)[];
  /** Times of a video's temporal patches. */
  readonly labels: readonly string[];
}

/** @param grounds of each image and video, in the order of `media` */
export function answerHtml(
  { text, tokens, numTokens }: ShownAnswer,
  grounds: readonly AnswerGround[],
  mergeSize: number,
): string {
  const looks = tokens.flatMap((token) => look(token, grounds, mergeSize));
  const note =
    looks.length > 0
      ? `<p class="note">Of each token the picture that most of its attention goes to, in the last layer, of its ${
          looks.length < numTokens
            ? `first ${grouped(looks.length)} of ${grouped(numTokens)} tokens`
            : "tokens"
        }: the clearer a cell, the more. What is not on pictures goes to text.</p>`
      : "";
  const list = looks.length > 0 ? `<ol class="glimt-looks">${looks.join("")}</ol>` : "";
  return `<pre class="glimt-prompt" tabindex="0">${escaped(text)}</pre>\n${note}${list}`;
}

function look(token: AnswerToken, grounds: readonly AnswerGround[], mergeSize: number): string[] {
  const shares = token.media.map(({ weights }) => sum(weights));
  const most = shares.indexOf(Math.max(...shares));
  const [seen, ground] = [token.media[most], grounds[most]];
  if (!seen || !ground) return [];
  const [t, h, w] = seen.grid;
  const frames = Array.from({ length: t }, (_, frame) =>
    seen.weights.subarray(frame * h * w, (frame + 1) * h * w),
  );
  const sums = frames.map(sum);
  const frame = sums.indexOf(Math.max(...sums));
  const svg = patchGridSvg({
    width: ground.width,
    height: ground.height,
    gridThw: [1, h * mergeSize, w * mergeSize],
    mergeSize,
    image: ground.images[frame],
    weights: frames[frame],
  });
  const time = ground.labels[frame] === undefined ? "" : ` at ${ground.labels[frame]}`;
  return [
    `<li>${svg}<b>${tokenHtml(token)}</b> ${percent(shares[most] as number)} on ${escaped(ground.name + time)}</li>`,
  ];
}

function sum(values: Float32Array): number {
  return values.reduce((total, value) => total + value, 0);
}
