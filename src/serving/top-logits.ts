/** The largest logits of an answer's first token, for callers who want to see what else was likely. */

/** The `count` largest logits as [token, logit], largest first; ties by lower token. NaN is none of them. */
export function topLogits(logits: Float32Array, count: number): [token: number, logit: number][] {
  const top: [token: number, logit: number][] = [];
  let least = Number.NEGATIVE_INFINITY;
  for (let token = 0; token < logits.length; token++) {
    const logit = logits[token] as number;
    if (top.length === count ? !(logit > least) : Number.isNaN(logit)) continue;
    let place = top.length;
    while (place > 0 && logit > (top[place - 1] as [number, number])[1]) place--;
    top.splice(place, 0, [token, logit]);
    top.length = Math.min(top.length, count);
    least = top.at(-1)?.[1] ?? least;
  }
  return top;
}
