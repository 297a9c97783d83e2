/** JSON.parse keeps the last of two equal keys in silence; this lists them all. */

/** Keys of the outermost object of a text that is known to be valid JSON, in order, duplicates included. */
export function topLevelKeys(json: string): string[] {
  const keys: string[] = [];
  const colon = /\s*:/y;
  let depth = 0;
  for (let at = 0; at < json.length; at++) {
    const character = json[at];
    if (character === "{" || character === "[") depth++;
    else if (character === "}" || character === "]") depth--;
    else if (character === '"') {
      const start = at;
      for (at++; json[at] !== '"'; at++) if (json[at] === "\\") at++;
      colon.lastIndex = at + 1;
      // A string at depth 1 is a key when a colon follows.
      if (depth === 1 && colon.test(json)) keys.push(JSON.parse(json.slice(start, at + 1)) as string);
    }
  }
  return keys;
}
