/** Whether texts are of what is asked for, by the automaton alone. */
import { Matcher } from "../../src/grammar/matcher.ts";
import { compileStructured, type StructuredText } from "../../src/grammar/structured.ts";

export function acceptor(asked: StructuredText): (text: string) => boolean {
  const matcher = new Matcher(compileStructured(asked));
  return (text) => {
    matcher.beginWork();
    return matcher.afterBytes(matcher.start, new TextEncoder().encode(text))?.isComplete === true;
  };
}

export const regex = (source: string) => acceptor({ kind: "regex", source });
export const ebnf = (source: string) => acceptor({ kind: "grammar", source });
export const schema = (value: unknown) => acceptor({ kind: "jsonSchema", source: JSON.stringify(value) });
