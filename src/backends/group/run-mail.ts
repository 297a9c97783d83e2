/**
 * The mail of one run of a group: boxes for each pair of ranks, in which bytes lie in the order they were sent. Ranks in
 * other processes have theirs too: what is for them is carried there, and what comes from there is delivered here.
 */
import { GlimtError } from "../../errors.ts";
import type { Communicator, Parcel } from "../communicator.ts";
import { type GroupShape, tensorPeers } from "./shape.ts";

/** A parcel on its way. */
export interface Letter extends Parcel {
  /** The how manieth of its pair of ranks, from 0. */
  readonly number: number;
  readonly bytes: Uint8Array;
}

/** What a rank gave to others. */
export interface Traffic {
  /** Collectives, and sends to another stage. */
  readonly operations: number;
  /** Of their operands, each counted once whoever gets it. */
  readonly bytes: number;
}

interface Box {
  readonly letters: Letter[];
  /** Letters that were taken out. */
  taken: number;
  sent: number;
  waiting: { readonly parcel: Parcel; resolve(letter: Letter): void; reject(error: unknown): void } | null;
}

export class RunMail {
  readonly #shape: GroupShape;
  readonly #carry: (from: number, to: number, letter: Letter) => void;
  readonly #boxes = new Map<string, Box>();
  readonly #traffic = new Map<number, { operations: number; bytes: number }>();
  #failure: { readonly error: unknown } | null = null;

  /** @param carry brings a letter to a rank's boxes; default: it is one of this object's */
  constructor(shape: GroupShape, carry?: (from: number, to: number, letter: Letter) => void) {
    this.#shape = shape;
    this.#carry = carry ?? ((from, to, letter) => this.deliver(from, to, letter));
  }

  communicator(rank: number): Communicator {
    const peers = tensorPeers(this.#shape, rank);
    return {
      rank,
      peers,
      exchange: (parcel, bytes) => {
        this.#count(rank, bytes);
        for (const peer of peers) if (peer !== rank) this.#post(rank, peer, parcel, bytes);
        return Promise.all(peers.map((peer) => (peer === rank ? bytes : this.#take(peer, rank, parcel))));
      },
      send: (peer, parcel, bytes) => {
        this.#count(rank, bytes);
        this.#post(rank, peer, parcel, bytes);
      },
      receive: (peer, parcel) => this.#take(peer, rank, parcel),
    };
  }

  /** A letter from one rank to another, beside what programs do: it is not counted. */
  post(from: number, to: number, parcel: Parcel, bytes: Uint8Array): void {
    this.#post(from, to, parcel, bytes);
  }

  /** @throws as Communicator.receive */
  take(from: number, to: number, parcel: Parcel): Promise<Uint8Array> {
    return this.#take(from, to, parcel);
  }

  /** A letter has come. */
  deliver(from: number, to: number, letter: Letter): void {
    const box = this.#box(from, to);
    const { waiting } = box;
    box.waiting = null;
    if (waiting) waiting.resolve(letter);
    else box.letters.push(letter);
  }

  /** Nothing more comes: all who wait, and who will, are told why. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    for (const box of this.#boxes.values()) {
      box.waiting?.reject(this.#failure.error);
      box.waiting = null;
      box.letters.length = 0;
    }
  }

  trafficOf(rank: number): Traffic {
    return this.#traffic.get(rank) ?? { operations: 0, bytes: 0 };
  }

  /** Who waits for what of whom, in words. */
  get waits(): string[] {
    return [...this.#boxes].flatMap(([pair, { waiting }]) => {
      const [from, to] = pair.split(">");
      return waiting ? [`rank ${to} waits for ${describe(waiting.parcel)} of rank ${from}`] : [];
    });
  }

  #count(rank: number, bytes: Uint8Array): void {
    const { operations, bytes: before } = this.trafficOf(rank);
    this.#traffic.set(rank, { operations: operations + 1, bytes: before + bytes.length });
  }

  #post(from: number, to: number, { kind, dtype, rows, cols }: Parcel, bytes: Uint8Array): void {
    if (this.#failure) return;
    this.#carry(from, to, { kind, dtype, rows, cols, bytes, number: this.#box(from, to).sent++ });
  }

  async #take(from: number, to: number, parcel: Parcel): Promise<Uint8Array> {
    if (this.#failure) throw this.#failure.error;
    const box = this.#box(from, to);
    const letter =
      box.letters.shift() ??
      (await new Promise<Letter>((resolve, reject) => {
        box.waiting = { parcel, resolve, reject };
      }));
    const number = box.taken++;
    const isExpected =
      letter.number === number &&
      letter.kind === parcel.kind &&
      letter.dtype === parcel.dtype &&
      letter.rows === parcel.rows &&
      letter.cols === parcel.cols;
    if (isExpected) return letter.bytes;
    throw new GlimtError(
      "GROUP_FAILED",
      `The ranks of the group are out of step: rank ${to} expected ${describe(parcel)} as number ${number} of rank ${from}, and got ${describe(letter)} as number ${letter.number}.`,
    );
  }

  #box(from: number, to: number): Box {
    const pair = `${from}>${to}`;
    let box = this.#boxes.get(pair);
    if (!box) {
      box = { letters: [], taken: 0, sent: 0, waiting: null };
      this.#boxes.set(pair, box);
    }
    return box;
  }
}

function describe({ kind, dtype, rows, cols }: Parcel): string {
  return `${kind} ${dtype}[${rows}, ${cols}]`;
}
