/** Python's str methods that ask or change letters. */

const TITLE_OF: Readonly<Record<string, string>> = {
  ŉ: "ʼN",
  Ǆ: "ǅ",
  ǅ: "ǅ",
  ǆ: "ǅ",
  Ǉ: "ǈ",
  ǈ: "ǈ",
  ǉ: "ǈ",
  Ǌ: "ǋ",
  ǋ: "ǋ",
  ǌ: "ǋ",
  Ǳ: "ǲ",
  ǲ: "ǲ",
  ǳ: "ǲ",
  ᾳ: "ᾼ",
  ᾼ: "ᾼ",
  ῃ: "ῌ",
  ῌ: "ῌ",
  ῳ: "ῼ",
  ῼ: "ῼ",
};
/** Digits beside the decimal ones: superscripts, circled and the like. */
const DIGITS =
  /^[\p{Nd}\u00b2\u00b3\u00b9\u1369-\u1371\u19da\u2070\u2074-\u2079\u2080-\u2089\u2460-\u2468\u2474-\u247c\u2488-\u2490\u24ea\u24f5-\u24fd\u24ff\u2776-\u277e\u2780-\u2788\u278a-\u2792\u{10a40}-\u{10a43}\u{10e60}-\u{10e68}\u{11052}-\u{1105a}\u{1f100}-\u{1f10a}]+$/u;
/** Characters of numbers that Unicode files under letters. */
const CJK_NUMBERS =
  "㐅㒃㠪㭍一七万三九二五亖亿什仟仨伍佰億兆兩八六十千卄卅卌叁参參叄四壱壹幺廾廿弌弍弎弐拾捌柒漆玖百肆萬貮貳贰阡陆陌陸零\\u{f96b}\\u{f973}\\u{f978}\\u{f9b2}\\u{f9d1}\\u{f9d3}\\u{f9fd}\\u{20001}\\u{20064}\\u{200e2}\\u{20121}\\u{2092a}\\u{20983}\\u{2098c}\\u{2099c}\\u{20aea}\\u{20afd}\\u{20b19}\\u{22390}\\u{22998}\\u{23b1b}\\u{2626d}\\u{2f890}";
const NUMERIC = new RegExp(`^[\\p{N}${CJK_NUMBERS}]+$`, "u");

export function titleOf(character: string): string {
  const own = TITLE_OF[character];
  if (own !== undefined) return own;
  const code = character.codePointAt(0) as number;
  // Georgian has capitals that no title uses; Greek with an iota below keeps it there.
  if (code >= 0x10d0 && code <= 0x10ff) return character;
  if (code >= 0x1f80 && code <= 0x1faf) return String.fromCodePoint(code | 8);
  const [first = "", ...rest] = character.toUpperCase();
  return first + rest.join("").toLowerCase();
}

export function capitalize(text: string): string {
  const [first = ""] = text;
  return titleOf(first) + text.slice(first.length).toLowerCase();
}

/** str.title: what follows no letter begins a word. */
export function title(text: string): string {
  let result = "";
  let inWord = false;
  for (const character of text) {
    result += inWord ? character.toLowerCase() : titleOf(character);
    inWord = isCased(character);
  }
  return result;
}

export function swapCase(text: string): string {
  let result = "";
  for (const character of text) {
    result += /\p{Uppercase}/u.test(character) ? character.toLowerCase() : character.toUpperCase();
  }
  return result;
}

export function caseFold(text: string): string {
  let result = "";
  for (const character of text) result += character === "ı" ? "ı" : character.toUpperCase().toLowerCase();
  return result;
}

function isCased(character: string): boolean {
  return /\p{Lowercase}|\p{Uppercase}|\p{Lt}/u.test(character);
}

export const isLower = (text: string): boolean =>
  /\p{Lowercase}/u.test(text) && !/\p{Uppercase}|\p{Lt}/u.test(text);
export const isUpper = (text: string): boolean =>
  /\p{Uppercase}/u.test(text) && !/\p{Lowercase}|\p{Lt}/u.test(text);
export const isAlpha = (text: string): boolean => /^\p{L}+$/u.test(text);
export const isDecimal = (text: string): boolean => /^\p{Nd}+$/u.test(text);
export const isDigit = (text: string): boolean => DIGITS.test(text);
export const isNumeric = (text: string): boolean => NUMERIC.test(text);
export const isAscii = (text: string): boolean => !/[^\0-\x7f]/.test(text);
export const isIdentifier = (text: string): boolean => /^[\p{XIDS}_]\p{XIDC}*$/u.test(text);
/** What repr shows as it is. */
export const isPrintable = (text: string): boolean => !/[^\P{C} ]|[^\P{Z} ]/u.test(text);

export function isAlnum(text: string): boolean {
  if (text === "") return false;
  for (const character of text) if (!isAlpha(character) && !isNumeric(character)) return false;
  return true;
}

export function isTitle(text: string): boolean {
  let [inWord, found] = [false, false];
  for (const character of text) {
    const isCapital = /\p{Uppercase}|\p{Lt}/u.test(character);
    const isSmall = /\p{Lowercase}/u.test(character);
    if (isCapital ? inWord : isSmall && !inWord) return false;
    inWord = isCapital || isSmall;
    found ||= inWord;
  }
  return found;
}
