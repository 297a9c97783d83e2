/** What the processes of a group tell one another beside what programs do: how runs ended, and what only some of them have. */
import { ERROR_CODES, GlimtError } from "../../errors.ts";
import type { VerifiedProgram } from "../../program/verify-program.ts";
import { type HostArray, hostArray, type TensorDType } from "../../tensor/dtype.ts";
import type { RunBindings } from "../backend.ts";
import type { Parcel } from "../communicator.ts";
import { type GroupLink, processOf } from "./link.ts";
import type { RunMail } from "./run-mail.ts";
import { type GroupShape, rankCount } from "./shape.ts";

/** How a run ended in a process. */
const END: Parcel = { kind: "end", dtype: "i32", rows: 1, cols: 1 };

export class OtherProcesses {
  readonly #link: GroupLink;
  readonly #shape: GroupShape;
  readonly #ranks: number;
  /** All but this one. */
  readonly #others: readonly number[];
  readonly #open = new Set<RunMail>();

  constructor(link: GroupLink, shape: GroupShape) {
    this.#link = link;
    this.#shape = shape;
    this.#ranks = rankCount(shape);
    this.#others = Array.from({ length: link.count }, (_, index) => index).filter(
      (index) => index !== link.index,
    );
  }

  openMail(): RunMail {
    const mail = this.#link.openMail(this.#shape);
    this.#open.add(mail);
    return mail;
  }

  closeMail(mail: RunMail): void {
    this.#open.delete(mail);
    this.#link.closeMail(mail);
  }

  alive(): void {
    this.#link.alive();
  }

  /** Ends all that waits. */
  close(reason: GlimtError): void {
    for (const mail of this.#open) mail.fail(reason);
    this.#link.close();
  }

  /**
   * A run ends alike in all processes. To be called when it begins.
   *
   * @param asked what `askedOf` gives for it
   * @param ended what it ended with here; undefined when it ended well
   * @param endRun told of what it ended with elsewhere, and of a process that was asked something else
   * @returns when all have ended
   */
  async agree(asked: number, ended: Promise<unknown>, endRun: (error: unknown) => void): Promise<void> {
    const mail = this.openMail();
    const hear = async (other: number) => {
      const said: End = JSON.parse(new TextDecoder().decode(await this.#takeFrom(mail, other, END)));
      if (said.error) endRun(errorOf(said.error, other));
      else if (said.asked !== asked) endRun(this.#askedElse(other));
    };
    const tell = async () => {
      const error = await ended;
      const end: End = { asked, error: error === undefined ? null : described(error) };
      const bytes = new TextEncoder().encode(JSON.stringify(end));
      for (const other of this.#others) this.#postTo(mail, other, END, bytes);
    };
    try {
      await Promise.all([tell(), ...this.#others.map(hear)]);
    } catch (error) {
      endRun(error);
    } finally {
      this.closeMail(mail);
    }
  }

  /**
   * Rows that every process asks for and some ranks have.
   *
   * @param has whether each rank has them; the process of the first one sends them to those that have none
   * @param own as this process has them
   */
  async share(
    has: readonly boolean[],
    dtype: TensorDType,
    rows: number,
    cols: number,
    own: HostArray | null,
  ): Promise<HostArray> {
    const having = new Set(has.flatMap((is, rank) => (is ? [this.#processOf(rank)] : [])));
    const [owner] = having;
    if (having.size === this.#link.count) return own as HostArray;
    const mail = this.openMail();
    try {
      const parcel = { kind: "share", dtype, rows, cols };
      if (owner !== this.#link.index && own) return own;
      if (owner !== this.#link.index) {
        const bytes = await this.#takeFrom(mail, owner as number, parcel);
        const data = hostArray(dtype, rows * cols);
        new Uint8Array(data.buffer).set(bytes);
        return data;
      }
      const { buffer, byteOffset, byteLength } = own as HostArray;
      for (const other of this.#others) {
        if (!having.has(other))
          this.#postTo(mail, other, parcel, new Uint8Array(buffer, byteOffset, byteLength));
      }
      return own as HostArray;
    } finally {
      this.closeMail(mail);
    }
  }

  /** Outputs of a run that the caller wants and no rank of this process gave. @param filled those that one gave */
  async fillOutputs(
    programs: readonly VerifiedProgram[],
    { buffers }: RunBindings,
    filled: ReadonlySet<string>,
  ): Promise<void> {
    const fill = async (name: string, bound: HostArray) => {
      const outputs = programs.map((program) =>
        program.buffers.find((buffer) => buffer.kind === "output" && buffer.name === name),
      );
      const dtype = outputs.find((output) => output !== undefined)?.dtype as TensorDType | undefined;
      if (dtype === undefined) return;
      const has = outputs.map((output) => output !== undefined);
      const own = filled.has(name) ? bound : null;
      const data = await this.share(has, dtype, 1, bound.length, own);
      if (!own) bound.set(data);
    };
    const arrays = Object.entries(buffers).flatMap(([name, bound]) =>
      ArrayBuffer.isView(bound) ? [[name, bound] as const] : [],
    );
    // All at once: mail is opened in one order in every process, whatever else is under way.
    await Promise.all(arrays.map(([name, bound]) => fill(name, bound)));
  }

  #askedElse(other: number): GlimtError {
    return new GlimtError(
      "GROUP_FAILED",
      `Process ${other} of the group was asked something else than process ${this.#link.index}: all must be asked the same, one request after the other, with a seed where tokens are drawn.`,
    );
  }

  #processOf(rank: number): number {
    return processOf(rank, this.#ranks, this.#link);
  }

  /** A rank of the process, in whose name it speaks. */
  #rankOf(process: number): number {
    return process * (this.#ranks / this.#link.count);
  }

  #postTo(mail: RunMail, process: number, parcel: Parcel, bytes: Uint8Array): void {
    mail.post(this.#rankOf(this.#link.index), this.#rankOf(process), parcel, bytes);
  }

  #takeFrom(mail: RunMail, process: number, parcel: Parcel): Promise<Uint8Array> {
    return mail.take(this.#rankOf(process), this.#rankOf(this.#link.index), parcel);
  }
}

/**
 * A number for what a run is asked: its sizes and what of its inputs comes from the host. Processes that ask different
 * things of programs of one size would compute something of both, and none would notice.
 *
 * @param bindings of all ranks, or of each
 */
export function askedOf(program: VerifiedProgram, bindings: Iterable<RunBindings>): number {
  let hash = 0;
  const add = (bytes: Uint8Array | Uint32Array) => {
    for (const word of bytes) {
      hash = Math.imul(hash ^ word, 0x01000193);
      hash ^= hash >>> 15;
    }
  };
  for (const { symbols, buffers } of bindings) {
    add(new TextEncoder().encode(JSON.stringify([program.name, symbols])));
    for (const { kind, name } of program.buffers) {
      const bound = kind === "input" ? buffers[name] : undefined;
      if (!bound || !ArrayBuffer.isView(bound)) continue;
      const { buffer, byteOffset, byteLength } = bound;
      const isWords = (byteOffset | byteLength) % 4 === 0;
      add(
        isWords
          ? new Uint32Array(buffer, byteOffset, byteLength / 4)
          : new Uint8Array(buffer, byteOffset, byteLength),
      );
    }
  }
  return hash;
}

/** What a process tells the others at a run's end. */
interface End {
  readonly asked: number;
  readonly error: Described | null;
}

interface Described {
  readonly code: string | null;
  readonly message: string;
}

function described(error: unknown): Described {
  const { message } = error instanceof Error ? error : new Error(String(error));
  return { code: error instanceof GlimtError ? error.code : null, message };
}

/** An error that is none of ours was a caller's there, and is a failure here. */
function errorOf({ code, message }: Described, process: number): GlimtError {
  const known = ERROR_CODES.find((each) => each === code);
  return new GlimtError(known ?? "GROUP_FAILED", `In process ${process} of the group: ${message}`);
}
