/** Joined processes of a group over TCP, each of which has a connection to every other. */
import { GlimtError } from "../../errors.ts";
import { type Header, type Peer, sendFrame } from "./frames.node.ts";
import { type GroupLink, processOf } from "./link.ts";
import { type Letter, RunMail } from "./run-mail.ts";
import { type GroupShape, rankCount } from "./shape.ts";

/** Between two signs of life. */
const ALIVE_MS = 250;
/** That what was sent may take to arrive when a process has ended. */
const LINGER_MS = 2000;

export class TcpLink implements GroupLink {
  readonly index: number;
  readonly count: number;
  readonly #peers: readonly (Peer | undefined)[];
  readonly #mails = new Map<number, RunMail>();
  /** Letters of mail that is not open yet. */
  readonly #early = new Map<number, [from: number, to: number, letter: Letter][]>();
  #isTaken = false;
  #opened = 0;
  #lastAlive = 0;
  #closed = false;
  #onAlive: () => void = () => {};
  #onLost: (error: Error) => void = () => {};
  #lost: Error | undefined;

  constructor(index: number, peers: readonly (Peer | undefined)[]) {
    this.index = index;
    this.count = peers.length;
    this.#peers = peers;
    for (const [other, peer] of peers.entries()) {
      if (!peer) continue;
      peer.socket.removeAllListeners("close");
      peer.socket.on("error", () => {});
      peer.socket.on("close", () => this.#lose(other));
      peer.listen((header, body) => this.#take(header, body));
      if (peer.socket.destroyed) this.#lose(other);
    }
  }

  take(): void {
    if (this.#isTaken || this.#closed) {
      throw new GlimtError(
        "OPTION_INVALID",
        "parallel.processes has been another model's: each takes what a joinProcesses of its own gives.",
      );
    }
    this.#isTaken = true;
  }

  openMail(shape: GroupShape): RunMail {
    const number = this.#opened++;
    const ranks = rankCount(shape);
    const mail: RunMail = new RunMail(shape, (from, to, letter) => {
      const process = processOf(to, ranks, this);
      if (process === this.index) {
        mail.deliver(from, to, letter);
        return;
      }
      const { bytes, ...said } = letter;
      const header: Header = { type: "letter", mail: number, from, to, ...said };
      const socket = this.#peers[process]?.socket;
      if (socket && !socket.destroyed) sendFrame(socket, header, bytes);
    });
    this.#mails.set(number, mail);
    for (const [from, to, letter] of this.#early.get(number) ?? []) mail.deliver(from, to, letter);
    this.#early.delete(number);
    return mail;
  }

  closeMail(mail: RunMail): void {
    for (const [number, open] of this.#mails) if (open === mail) this.#mails.delete(number);
  }

  alive(): void {
    const now = performance.now();
    if (now - this.#lastAlive < ALIVE_MS) return;
    this.#lastAlive = now;
    for (const peer of this.#peers)
      if (peer && !peer.socket.destroyed) sendFrame(peer.socket, { type: "alive" });
  }

  watch(onAlive: () => void, onLost: (error: Error) => void): void {
    this.#onAlive = onAlive;
    this.#onLost = onLost;
    if (this.#lost) onLost(this.#lost);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#early.clear();
    for (const peer of this.#peers) {
      // What was sent last is for others to read; who does not is not waited for.
      peer?.socket.end();
      setTimeout(() => peer?.socket.destroy(), LINGER_MS).unref();
    }
  }

  #take(header: Header, bytes: Uint8Array): void {
    this.#onAlive();
    if (header.type !== "letter") return;
    const { mail: number, from, to, kind, dtype, rows, cols, number: count } = header;
    const letter: Letter = { kind, dtype, rows, cols, number: count, bytes };
    const mail = this.#mails.get(number);
    if (mail) {
      mail.deliver(from, to, letter);
      return;
    }
    // Of a mail that is closed already nobody reads it.
    if (number < this.#opened) return;
    const early = this.#early.get(number) ?? [];
    early.push([from, to, letter]);
    this.#early.set(number, early);
  }

  #lose(other: number): void {
    if (this.#closed || this.#lost) return;
    this.#lost = new Error(`process ${other} has ended, or its connection`);
    this.#onLost(this.#lost);
  }
}
