/** Which tokens tokenizer.json and tokenizer_config.json call special. */

const NAMED_TOKENS = ["bos", "eos", "unk", "sep", "pad", "cls", "mask"].map((name) => `${name}_token`);
const TOKEN_LISTS = ["additional_special_tokens", "extra_special_tokens"];

/** bos_token, eos_token and so on of a parsed tokenizer_config.json, which chat templates may name. */
export function namedTokens(config: unknown): Record<string, string> {
  const entries = NAMED_TOKENS.flatMap((key) => {
    const content = contentOf((config as Record<string, unknown> | null | undefined)?.[key]);
    return content === null ? [] : [[key, content] as const];
  });
  return Object.fromEntries(entries);
}

/** The texts of all special tokens: Hugging Face unites what both files say. */
export function specialContents(
  tokenizer: Record<string, unknown>,
  config: Record<string, unknown>,
): Set<string> {
  const marked = [...listOf(tokenizer.added_tokens), ...Object.values(config.added_tokens_decoder ?? {})]
    .filter((token) => (token as { special?: unknown } | null)?.special === true)
    .map(contentOf);
  const listed = TOKEN_LISTS.flatMap((key) => listOf(config[key]).map(contentOf));
  const contents = [...marked, ...listed, ...Object.values(namedTokens(config))];
  return new Set(contents.filter((content) => content !== null));
}

/** A token is written as its text or as an object that holds it. */
function contentOf(token: unknown): string | null {
  const content =
    typeof token === "string" ? token : (token as { content?: unknown } | null | undefined)?.content;
  return typeof content === "string" && content !== "" ? content : null;
}

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}
