/** What an automaton must not do: call itself before it took anything, or lead to where no text ends. */
import { GlimtError } from "../errors.ts";
import { type Automaton, BYTE, CALL, EDGE, FREE } from "./automaton.ts";

type Edges = Pick<Automaton, "edges" | "edgesFrom" | "isEnd">;

/**
 * The nodes from which the end of their automaton is reached, by any bytes or by none.
 *
 * @param takesNothing whether only edges count that take no byte
 */
function nodesThatEnd({ edges, edgesFrom, isEnd }: Edges, takesNothing: boolean): Uint8Array {
  const fromOf = new Int32Array(edges.length / EDGE);
  const users: number[][] = Array.from(isEnd, () => []);
  for (let node = 0; node < isEnd.length; node++) {
    for (let at = edgesFrom[node] as number; at < (edgesFrom[node + 1] as number); at += EDGE) {
      fromOf[at / EDGE] = node;
      (users[edges[at + 3] as number] as number[]).push(at);
      if (edges[at] === CALL) (users[edges[at + 1] as number] as number[]).push(at);
    }
  }
  const ends = new Uint8Array(isEnd.length);
  const found: number[] = [];
  const mark = (node: number) => {
    if (ends[node] === 0) found.push(node);
    ends[node] = 1;
  };
  isEnd.forEach((end, node) => {
    if (end) mark(node);
  });
  for (let node = found.pop(); node !== undefined; node = found.pop()) {
    for (const at of users[node] as number[]) {
      if (takesNothing && edges[at] === BYTE) continue;
      if (!ends[edges[at + 3] as number]) continue;
      if (edges[at] === CALL && !ends[edges[at + 1] as number]) continue;
      mark(fromOf[at / EDGE] as number);
    }
  }
  return ends;
}

/**
 * @param starts where automata begin; `nameOf` has the names of those that have one
 * @throws OPTION_INVALID naming a rule that begins with itself: it would be called for ever
 */
export function checkRecursion(
  automaton: Edges,
  starts: readonly number[],
  nameOf: ReadonlyMap<number, string>,
): void {
  const takesNothing = nodesThatEnd(automaton, true);
  const calls = new Map(starts.map((start) => [start, firstCalls(automaton, start, takesNothing)]));
  const left = new Set<number>();
  for (const start of starts) {
    // Depth first, by hand: chains of rules may be long.
    const path: { readonly node: number; readonly next: Iterator<number> }[] = [];
    const open = new Set<number>();
    const enter = (node: number) => {
      open.add(node);
      path.push({ node, next: (calls.get(node) as Set<number>).values() });
    };
    if (!left.has(start)) enter(start);
    for (let top = path.at(-1); top; top = path.at(-1)) {
      const { done, value } = top.next.next();
      if (done) {
        open.delete(top.node);
        left.add(top.node);
        path.pop();
      } else if (open.has(value)) {
        throw beginsWithItself([...path.map(({ node }) => node), value], nameOf);
      } else if (!left.has(value)) {
        enter(value);
      }
    }
  }
}

/** What is called before a byte is taken. */
function firstCalls({ edges, edgesFrom }: Edges, start: number, takesNothing: Uint8Array): Set<number> {
  const calls = new Set<number>();
  const seen = new Set([start]);
  for (const node of seen) {
    for (let at = edgesFrom[node] as number; at < (edgesFrom[node + 1] as number); at += EDGE) {
      const [kind, callee, , to] = edges.subarray(at, at + EDGE) as unknown as [
        number,
        number,
        number,
        number,
      ];
      if (kind === CALL) calls.add(callee);
      if (kind === FREE || (kind === CALL && takesNothing[callee])) seen.add(to);
    }
  }
  return calls;
}

function beginsWithItself(path: readonly number[], nameOf: ReadonlyMap<number, string>): GlimtError {
  const name = [...path].reverse().flatMap((node) => nameOf.get(node) ?? [])[0];
  return new GlimtError(
    "OPTION_INVALID",
    `structured: rule "${name}" begins with itself (left recursion), so that it never takes anything. Write it as a repetition: item (separator item)*.`,
  );
}

/** Without what leads to where no text ends. @throws OPTION_INVALID when nothing is left */
export function withoutDeadEnds(automaton: Automaton): Automaton {
  const ends = nodesThatEnd(automaton, false);
  if (!ends[automaton.start]) {
    throw new GlimtError("OPTION_INVALID", "structured: there is no text that satisfies it.");
  }
  const { edges, edgesFrom, isEnd } = automaton;
  const keptFrom = new Int32Array(edgesFrom.length);
  const kept: number[] = [];
  for (let node = 0; node < isEnd.length; node++) {
    for (let at = edgesFrom[node] as number; at < (edgesFrom[node + 1] as number); at += EDGE) {
      const edge = edges.subarray(at, at + EDGE);
      const leads = ends[edge[3] as number] && (edge[0] !== CALL || ends[edge[1] as number]);
      if (leads) kept.push(...edge);
    }
    keptFrom[node + 1] = kept.length;
  }
  return { ...automaton, edges: Int32Array.from(kept), edgesFrom: keptFrom };
}
