/**
 * Processes of a group over TCP, each of which reaches every other. The first listens at an address that all know; the
 * others tell it where they listen, and hear of each other from it. What is sent is not encrypted: for networks of one's own.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { type AddressInfo, createServer, type Server, type Socket, connect as tcpConnect } from "node:net";
import { GlimtError } from "../../errors.ts";
import { checkTimeLimit, readOptions, shown } from "../../given.ts";
import { type GroupLink, processOf } from "./link.ts";
import { type Letter, RunMail } from "./run-mail.ts";
import { type GroupShape, rankCount } from "./shape.ts";

export interface JoinOptions {
  /** "host:port" of the first process, which listens there. */
  readonly address: string;
  /** Which process this is: 0 is the first. */
  readonly index: number;
  /** How many there are. */
  readonly count: number;
  /** What all of them know and nobody else: who does not is not let in. */
  readonly key: string;
  /** Milliseconds until all must be there; default 60000. */
  readonly timeout?: number | undefined;
}

type Header =
  | {
      readonly type: "hello";
      readonly index: number;
      readonly count: number;
      readonly key: string;
      readonly port: number;
    }
  | { readonly type: "roster"; readonly places: readonly { readonly host: string; readonly port: number }[] }
  | ({ readonly type: "letter"; readonly mail: number; readonly from: number; readonly to: number } & Omit<
      Letter,
      "bytes"
    >)
  | { readonly type: "alive" };

type OnFrame = (header: Header, body: Uint8Array) => void;

const DEFAULT_TIMEOUT = 60_000;
/** Between two signs of life. */
const ALIVE_MS = 250;
/** That what was sent may take to arrive when a process has ended. */
const LINGER_MS = 2000;
const PREFIX_BYTES = 8;
/** Far more than any of ours has. */
const MOST_HEADER_BYTES = 1 << 16;
/** Connections at a time of which it is not known who they are; ours say so at once. */
const MOST_STRANGERS = 64;
const RETRY_MS = 50;

/**
 * Waits until all processes are there.
 * @throws OPTION_INVALID; GROUP_FAILED when one is not there in time, or has another key or count
 */
export async function joinProcesses(given: JoinOptions): Promise<GroupLink> {
  const options = readJoinOptions(given);
  const { index, count, timeout } = options;
  const peers: (Peer | undefined)[] = new Array(count).fill(undefined);
  const joining = new Joining(options, peers);
  const late = new Promise<never>((_, reject) => {
    const timer = setTimeout(() => {
      const missing = [...peers.keys()].filter((other) => other !== index && !peers[other]);
      reject(
        new GlimtError(
          "GROUP_FAILED",
          `Of ${count} processes ${missing.join(", ") || "the first did not say where the others are, and they"} did not join within ${timeout} ms.`,
        ),
      );
    }, timeout);
    joining.onEnd(() => clearTimeout(timer));
  });
  try {
    await Promise.race([joining.run(), late]);
    return new TcpLink(index, peers);
  } catch (error) {
    for (const peer of peers) peer?.socket.destroy();
    throw error;
  } finally {
    joining.end();
  }
}

function readJoinOptions(given: JoinOptions) {
  const options = readOptions(given, "joinProcesses", ["address", "index", "count", "key", "timeout"], {
    address: "string",
    index: "number",
    count: "number",
    key: "string",
    timeout: "number",
  });
  const { index, count, key, timeout = DEFAULT_TIMEOUT } = options;
  const invalid = (message: string) => new GlimtError("OPTION_INVALID", `joinProcesses: ${message}.`);
  const [, host, port] = /^(.+):(\d{1,5})$/.exec(options.address ?? "") ?? [];
  if (!host || Number(port) < 1 || Number(port) > 65535) {
    throw invalid(`address is ${shown(options.address)}, expected a host and a port, such as 10.0.0.1:29500`);
  }
  if (!(Number.isInteger(count) && count >= 1 && count <= 1024)) {
    throw invalid(`count is ${shown(count)}, expected a whole number from 1`);
  }
  if (!(Number.isInteger(index) && index >= 0 && index < count)) {
    throw invalid(`index is ${shown(index)}, expected one of 0..${count - 1}`);
  }
  if (!key) throw invalid("key is missing: what all processes know and nobody else");
  checkTimeLimit("timeout", timeout);
  return { host: host.replace(/^\[|\]$/g, ""), port: Number(port), index, count, key, timeout };
}

interface Peer {
  readonly socket: Socket;
  /** Frames that come while nobody listens are kept for the next who does. */
  listen(onFrame: OnFrame): void;
  /** One frame. */
  once(onFrame: OnFrame): void;
  /** It knows the key: it may send more than headers. */
  trust(): void;
}

/** Finds all others. */
class Joining {
  readonly #options: ReturnType<typeof readJoinOptions>;
  readonly #peers: (Peer | undefined)[];
  readonly #ends: (() => void)[] = [];
  /** Of which it is not known who they are; the oldest first. */
  readonly #strangers = new Set<Socket>();
  #ended = false;

  constructor(options: ReturnType<typeof readJoinOptions>, peers: (Peer | undefined)[]) {
    this.#options = options;
    this.#peers = peers;
  }

  onEnd(task: () => void): void {
    this.#ends.push(task);
  }

  end(): void {
    this.#ended = true;
    for (const task of this.#ends) task();
    for (const socket of this.#strangers) socket.destroy();
  }

  async run(): Promise<void> {
    const { host, port, index, count } = this.#options;
    if (count === 1) return;
    if (index === 0) {
      const places = await this.#accept(host, port, count - 1);
      const roster = places.map((place) => place ?? { host: "", port: 0 });
      for (const peer of this.#peers) if (peer) sendFrame(peer.socket, { type: "roster", places: roster });
      return;
    }
    const later = count - 1 - index;
    const server = createServer();
    const accepted = later > 0 ? this.#accepting(server, later) : undefined;
    // It is waited for at the end, and may have failed by then.
    accepted?.catch(() => {});
    if (accepted) await this.#listen(server, undefined, 0);
    const own = (server.address() as AddressInfo | null)?.port ?? 0;
    const first = await this.#connect(host, port, 0, own);
    const places = await new Promise<readonly { host: string; port: number }[]>((resolve, reject) => {
      first.socket.once("close", () => reject(refusedBy(0)));
      first.once((header) => (header.type === "roster" ? resolve(header.places) : reject(refusedBy(0))));
    });
    for (let other = 1; other < index; other++) {
      const place = places[other] as { host: string; port: number };
      await this.#connect(place.host, place.port, other, own);
    }
    await accepted;
  }

  async #accept(host: string, port: number, expected: number) {
    const server = createServer();
    const accepted = this.#accepting(server, expected);
    await this.#listen(server, host, port);
    return accepted;
  }

  async #listen(server: Server, host: string | undefined, port: number): Promise<void> {
    this.onEnd(() => server.close());
    await listening(server, host, port);
  }

  /** Who has not said who he is goes when all are there, or when many others come. */
  #meet(socket: Socket): void {
    this.#strangers.add(socket);
    socket.once("close", () => this.#strangers.delete(socket));
    const [oldest] = this.#strangers;
    if (this.#strangers.size > MOST_STRANGERS) oldest?.destroy();
  }

  /** Lets in so many that know the key. @returns where each listens, by index */
  #accepting(server: Server, expected: number): Promise<({ host: string; port: number } | undefined)[]> {
    const { count, index: own, key } = this.#options;
    const places: ({ host: string; port: number } | undefined)[] = [];
    return new Promise((resolve, reject) => {
      let missing = expected;
      server.on("connection", (socket) => {
        this.#meet(socket);
        const peer = framed(socket);
        socket.on("error", () => socket.destroy());
        peer.once((header) => {
          if (header.type !== "hello" || !isSame(header.key, key)) {
            socket.destroy();
            return;
          }
          if (
            header.count !== count ||
            !Number.isInteger(header.index) ||
            header.index <= own ||
            header.index >= count ||
            this.#peers[header.index]
          ) {
            const said = `process ${header.index} of ${header.count}`;
            reject(
              new GlimtError(
                "GROUP_FAILED",
                `A process says that it is ${said}; this is ${own} of ${count}.`,
              ),
            );
            socket.destroy();
            return;
          }
          peer.trust();
          this.#strangers.delete(socket);
          this.#peers[header.index] = peer;
          places[header.index] = { host: socket.remoteAddress ?? "", port: header.port };
          sendFrame(socket, { type: "alive" });
          if (--missing === 0) resolve(places);
        });
      });
    });
  }

  /** The other may not be there yet. */
  async #connect(host: string, port: number, other: number, own: number): Promise<Peer> {
    const { index, count, key } = this.#options;
    while (!this.#ended) {
      const socket = tcpConnect({ host, port, noDelay: true });
      this.#meet(socket);
      if (!(await isConnected(socket))) {
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
        continue;
      }
      const peer = framed(socket);
      peer.trust();
      sendFrame(socket, { type: "hello", index, count, key, port: own });
      await new Promise<void>((resolve, reject) => {
        socket.once("close", () => reject(refusedBy(other)));
        peer.once(() => resolve());
      });
      this.#strangers.delete(socket);
      this.#peers[other] = peer;
      return peer;
    }
    throw refusedBy(other);
  }
}

function refusedBy(process: number): GlimtError {
  return new GlimtError(
    "GROUP_FAILED",
    `Process ${process} of the group refused the connection: is the key the same, and the count?`,
  );
}

class TcpLink implements GroupLink {
  readonly index: number;
  readonly count: number;
  readonly #peers: readonly (Peer | undefined)[];
  readonly #mails = new Map<number, RunMail>();
  readonly #early = new Map<number, (readonly [from: number, to: number, letter: Letter])[]>();
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
    if (mail) mail.deliver(from, to, letter);
    // Of a mail that is closed already nobody reads it.
    else if (number >= this.#opened)
      this.#early.set(number, [...(this.#early.get(number) ?? []), [from, to, letter]]);
  }

  #lose(other: number): void {
    if (this.#closed || this.#lost) return;
    this.#lost = new Error(`process ${other} has ended, or its connection`);
    this.#onLost(this.#lost);
  }
}

function isSame(a: string, b: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return typeof a === "string" && timingSafeEqual(digest(a), digest(b));
}

function listening(server: Server, host: string | undefined, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause: Error) =>
      reject(
        new GlimtError("GROUP_FAILED", `The group can not listen at ${host}:${port}: ${cause.message}.`, {
          cause,
        }),
      ),
    );
    server.listen({ port, ...(host && { host }) }, () => resolve());
  });
}

function isConnected(socket: Socket): Promise<boolean> {
  return new Promise((resolve) => {
    socket.once("connect", () => resolve(true));
    socket.once("close", () => resolve(false));
    socket.on("error", () => {});
  });
}

function sendFrame(socket: Socket, header: Header, body: Uint8Array = new Uint8Array()): void {
  const text = Buffer.from(JSON.stringify(header));
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt32LE(text.length, 0);
  prefix.writeUInt32LE(body.length, 4);
  socket.write(Buffer.concat([prefix, text, body]));
}

/** A socket whose bytes are frames: two lengths, a header in JSON, a body. */
function framed(socket: Socket): Peer {
  socket.setNoDelay(true);
  let chunks: Buffer[] = [];
  let held = 0;
  let onFrame: OnFrame | undefined;
  let isTrusted = false;
  const drain = () => {
    while (onFrame && held >= PREFIX_BYTES) {
      if ((chunks[0] as Buffer).length < PREFIX_BYTES) chunks = [Buffer.concat(chunks)];
      const first = chunks[0] as Buffer;
      const [header, body] = [first.readUInt32LE(0), first.readUInt32LE(4)];
      if (header > MOST_HEADER_BYTES || (body > 0 && !isTrusted)) {
        socket.destroy();
        return;
      }
      const end = PREFIX_BYTES + header + body;
      if (held < end) return;
      const all = chunks.length === 1 ? first : Buffer.concat(chunks);
      chunks = all.length > end ? [all.subarray(end)] : [];
      held -= end;
      const said = readHeader(all.toString("utf8", PREFIX_BYTES, PREFIX_BYTES + header));
      if (!said) {
        socket.destroy();
        return;
      }
      onFrame(said, all.subarray(PREFIX_BYTES + header, end));
    }
  };
  socket.on("data", (chunk) => {
    chunks.push(chunk);
    held += chunk.length;
    drain();
  });
  return {
    socket,
    listen(listener) {
      onFrame = listener;
      drain();
    },
    once(listener) {
      this.listen((header, body) => {
        onFrame = undefined;
        listener(header, body);
      });
    },
    trust() {
      isTrusted = true;
    },
  };
}

/** Undefined for what is none, as strangers may send. */
function readHeader(text: string): Header | undefined {
  try {
    const said = JSON.parse(text);
    return typeof said?.type === "string" ? said : undefined;
  } catch {
    return undefined;
  }
}
