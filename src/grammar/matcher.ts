/**
 * Follows texts of a grammar byte by byte. A state holds every way to read the text so far: places in the automaton, each
 * with the calls that it returns to. States are made when they are first reached and found again by what they hold, so
 * that reading on from one is looking up.
 */
import { GlimtError } from "../errors.ts";
import { type Automaton, BYTE, CALL, EDGE, FREE } from "./automaton.ts";

/** A node, and the place that is gone on from when its automaton has ended; null in that of the root. */
interface Place {
  readonly id: number;
  readonly node: number;
  readonly back: Place | null;
}

export interface State {
  /** All that take a byte. */
  readonly places: readonly Place[];
  /** What was read is a whole text of the grammar. */
  readonly isComplete: boolean;
  /** By class of the next byte; null where nothing follows, undefined where nobody asked yet. */
  readonly next: (State | null | undefined)[];
}

/** Places come to for one mask or token, by whatever way, at most: some 0.2 s. */
const MOST_WORK = 200_000;
/** So many places, or edges, are passed by in the time that one place is come to. */
const PLACES_PASSED = 32;
const EDGES_PASSED = 128;
/** States and places that are found again; then all are forgotten, and made again when they are reached. */
const MOST_KEPT = 50_000;

export class Matcher {
  readonly #automaton: Automaton;
  /** Whether nothing but the end of its automaton follows a node. */
  readonly #onlyEnds: Uint8Array;
  /** By node, and the place to go back to. */
  #places = new Map<number, Place>();
  #states = new Map<string, State>();
  #lastPlace = 0;
  #work = 0;
  #start: State;

  constructor(automaton: Automaton) {
    this.#automaton = automaton;
    this.#onlyEnds = onlyEnds(automaton);
    this.#start = this.#reached([[automaton.start, null]]);
  }

  get start(): State {
    return this.#start;
  }

  /**
   * Begins the account of what one mask or one token costs.
   *
   * @param spent on it before, where other accounts were begun in between
   */
  beginWork(spent = 0): void {
    this.#work = spent;
  }

  /** What the account has come to. */
  get work(): number {
    return this.#work;
  }

  /** The state itself, or one like it where so much was kept that the rest is forgotten. */
  renewed(state: State): State {
    if (this.#states.size + this.#places.size < MOST_KEPT) return state;
    this.#states = new Map();
    this.#places = new Map();
    // It would hold all that was ever reached from it.
    this.#start = { ...this.#start, next: [] };
    return { ...state, next: [] };
  }

  /** Null when no text of the grammar goes on so. @throws OPTION_INVALID when it costs too much */
  afterByte(state: State, byte: number): State | null {
    const byteClass = this.#automaton.classOf[byte] as number;
    const known = state.next[byteClass];
    if (known !== undefined) return known;
    const found = this.#follow(state, this.#automaton.byteOfClass[byteClass] as number);
    state.next[byteClass] = found;
    return found;
  }

  afterBytes(state: State, bytes: Uint8Array): State | null {
    let at: State | null = state;
    for (let index = 0; at && index < bytes.length; index++) at = this.afterByte(at, bytes[index] as number);
    return at;
  }

  get classOf(): Uint8Array {
    return this.#automaton.classOf;
  }

  #follow({ places }: State, byte: number): State | null {
    const { edges, edgesFrom } = this.#automaton;
    const reached: [number, Place | null][] = [];
    for (const { node, back } of places) {
      this.#countEdges(node);
      for (let at = edgesFrom[node] as number; at < (edgesFrom[node + 1] as number); at += EDGE) {
        const takes =
          edges[at] === BYTE && byte >= (edges[at + 1] as number) && byte <= (edges[at + 2] as number);
        if (takes) reached.push([edges[at + 3] as number, back]);
      }
    }
    this.#count(places.length / PLACES_PASSED);
    return reached.length === 0 ? null : this.#reached(reached);
  }

  /** The state of all that is reached from these without taking a byte. */
  #reached(open: [number, Place | null][]): State {
    const { edges, edgesFrom, isEnd } = this.#automaton;
    const seen = new Set<Place>();
    const places: Place[] = [];
    let isComplete = false;
    const come = (node: number, back: Place | null) => {
      this.#count(1);
      const place = this.#place(node, back);
      if (seen.has(place)) return;
      seen.add(place);
      open.push([node, back]);
    };
    for (const [node, back] of open.splice(0)) come(node, back);
    for (let at = open.pop(); at; at = open.pop()) {
      const [node, back] = at;
      this.#countEdges(node);
      if (isEnd[node]) {
        if (back) come(back.node, back.back);
        else isComplete = true;
      }
      let takes = false;
      for (let edge = edgesFrom[node] as number; edge < (edgesFrom[node + 1] as number); edge += EDGE) {
        const kind = edges[edge];
        const to = edges[edge + 3] as number;
        if (kind === BYTE) takes = true;
        else if (kind === FREE) come(to, back);
        else if (kind === CALL)
          come(edges[edge + 1] as number, this.#onlyEnds[to] ? back : this.#place(to, back));
      }
      if (takes) places.push(this.#place(node, back));
    }
    places.sort((a, b) => a.id - b.id);
    const key = `${isComplete ? "e" : ""}${places.map(({ id }) => id).join()}`;
    let state = this.#states.get(key);
    if (!state) {
      state = { places, isComplete, next: [] };
      this.#states.set(key, state);
    }
    return state;
  }

  #place(node: number, back: Place | null): Place {
    const key = (back?.id ?? 0) * this.#automaton.isEnd.length + node;
    let place = this.#places.get(key);
    if (!place) {
      place = { id: ++this.#lastPlace, node, back };
      this.#places.set(key, place);
    }
    return place;
  }

  #countEdges(node: number): void {
    const { edgesFrom } = this.#automaton;
    this.#count(((edgesFrom[node + 1] as number) - (edgesFrom[node] as number)) / EDGE / EDGES_PASSED);
  }

  #count(work: number): void {
    this.#work += work;
    if (this.#work <= MOST_WORK) return;
    throw new GlimtError(
      "OPTION_INVALID",
      "structured: it can be read in so many ways that choosing a token takes too long. Make its alternatives begin differently.",
    );
  }
}

function onlyEnds({ edges, edgesFrom, isEnd }: Automaton): Uint8Array {
  const result = new Uint8Array(isEnd.length);
  for (let node = 0; node < isEnd.length; node++) {
    let at = node;
    // Chains of single free edges; one that goes round ends nowhere.
    for (let steps = 0; steps < 64; steps++) {
      const from = edgesFrom[at] as number;
      const count = (edgesFrom[at + 1] as number) - from;
      if (isEnd[at] && count === 0) result[node] = 1;
      if (isEnd[at] || count !== EDGE || edges[from] !== FREE) break;
      at = edges[from + 3] as number;
    }
  }
  return result;
}
