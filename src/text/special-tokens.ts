/** Which tokens tokenizer.json and tokenizer_config.json make special: those that decoding leaves out. */

/** bos_token, eos_token, image_token and so on of a parsed tokenizer_config.json, which chat templates may name. */
export function namedTokens(config: Readonly<Record<string, unknown>>): Record<string, string> {
  const { extra_special_tokens: extra } = config;
  // Newer files give further names in an object (a list there, or in additional_special_tokens, names none).
  const named = { ...config, ...(Array.isArray(extra) ? {} : (extra as object | undefined)) };
  const entries = Object.entries(named).flatMap(([key, token]) => {
    const content = key.endsWith("_token") ? contentOf(token) : null;
    return content === null ? [] : [[key, content] as const];
  });
  return Object.fromEntries(entries);
}

const STANDARD_NAMES = ["bos", "eos", "unk", "sep", "pad", "cls", "mask"].map((name) => `${name}_token`);

/** What tokenizer_config.json names as tokens, texts or objects, in the order in which transformers adds what is new. */
export function namedTokenValues(config: Readonly<Record<string, unknown>>): unknown[] {
  const { extra_special_tokens: extra, additional_special_tokens: additional } = config;
  const named = { ...config, ...(Array.isArray(extra) ? {} : (extra as object | undefined)) };
  const others = Object.keys(named).filter((key) => key.endsWith("_token") && !STANDARD_NAMES.includes(key));
  const values = [...STANDARD_NAMES, ...others].map((key) => named[key]);
  const lists = [additional, extra].flatMap((list) => (Array.isArray(list) ? list : []));
  return [...values, ...lists].filter((token) => contentOf(token) !== null);
}

/**
 * Texts of the special tokens, as transformers 5 has them after loading: marked so in either file, or named. To be
 * listed in additional_special_tokens does not make an existing token special there.
 */
export function specialContents(
  tokenizer: Readonly<Record<string, unknown>>,
  config: Readonly<Record<string, unknown>>,
): Set<string> {
  const listed = Array.isArray(tokenizer.added_tokens) ? tokenizer.added_tokens : [];
  const marked = [...listed, ...Object.values(config.added_tokens_decoder ?? {})]
    .filter((token) => (token as { special?: unknown } | null)?.special === true)
    .map(contentOf);
  const contents = [...marked, ...Object.values(namedTokens(config))];
  return new Set(contents.filter((content) => content !== null));
}

/** A token is written as its text or as an object that holds it. */
function contentOf(token: unknown): string | null {
  const content =
    typeof token === "string" ? token : (token as { content?: unknown } | null | undefined)?.content;
  return typeof content === "string" && content !== "" ? content : null;
}
