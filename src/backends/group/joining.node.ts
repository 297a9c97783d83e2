/**
 * How the processes of a group find each other: the first listens at an address that all know; the others tell it where they
 * listen, and hear of each other from it.
 *
 * Both sides of a connection prove that they know the key, which is not sent: who listens gives a number that is used once
 * (challenge), who comes answers it and gives one of its own (hello), which is answered too (welcome).
 */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { type AddressInfo, createServer, type Server, type Socket, connect as tcpConnect } from "node:net";
import { GlimtError } from "../../errors.ts";
import { framed, type Header, type Hello, type Peer, type Place, sendFrame } from "./frames.node.ts";

/** What a process knows of the group before it meets others. */
export interface Meeting {
  /** Of the first process. */
  readonly host: string;
  readonly port: number;
  readonly index: number;
  readonly count: number;
  readonly key: string;
}

/** Connections at a time of which it is not known who they are; ours say so at once. */
const MOST_STRANGERS = 64;
const RETRY_MS = 50;
const NONCE_BYTES = 32;

/** Finds all others. */
export class Joining {
  readonly #meeting: Meeting;
  readonly #peers: (Peer | undefined)[];
  readonly #ends: (() => void)[] = [];
  /** Those that came and of which it is not known who they are; the oldest first. */
  readonly #strangers = new Set<Socket>();
  /** On its way to another. */
  #leaving: Socket | undefined;
  #ended = false;

  /** @param peers by index; filled as they are found */
  constructor(meeting: Meeting, peers: (Peer | undefined)[]) {
    this.#meeting = meeting;
    this.#peers = peers;
  }

  onEnd(task: () => void): void {
    this.#ends.push(task);
  }

  end(): void {
    this.#ended = true;
    for (const task of this.#ends) task();
    for (const socket of this.#strangers) socket.destroy();
    this.#leaving?.destroy();
  }

  async run(): Promise<void> {
    const { host, port, index, count } = this.#meeting;
    if (count === 1) return;
    if (index === 0) {
      const found = await this.#accept(host, port, count - 1);
      const places = found.map((place) => place ?? { host: "", port: 0 });
      for (const peer of this.#peers) if (peer) sendFrame(peer.socket, { type: "roster", places });
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
    const roster = await answerOf(first, 0);
    if (roster.type !== "roster") throw refusedBy(0);
    for (let other = 1; other < index; other++) {
      const place = roster.places[other] as Place;
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
  #accepting(server: Server, expected: number): Promise<(Place | undefined)[]> {
    const { count, index: own, key } = this.#meeting;
    const places: (Place | undefined)[] = [];
    return new Promise((resolve, reject) => {
      let missing = expected;
      server.on("connection", (socket) => {
        this.#meet(socket);
        socket.on("error", () => socket.destroy());
        const peer = framed(socket);
        const nonce = newNonce();
        sendFrame(socket, { type: "challenge", nonce });
        peer.once((said) => {
          if (!isHello(said) || !isSame(said.proof, proofOfHello(key, nonce, said))) {
            socket.destroy();
            return;
          }
          const { index } = said;
          if (said.count !== count || index <= own || index >= count || this.#peers[index]) {
            reject(
              new GlimtError(
                "GROUP_FAILED",
                `A process says that it is process ${index} of ${said.count}; this is ${own} of ${count}.`,
              ),
            );
            socket.destroy();
            return;
          }
          peer.trust();
          this.#strangers.delete(socket);
          this.#peers[index] = peer;
          places[index] = { host: socket.remoteAddress ?? "", port: said.port };
          sendFrame(socket, { type: "welcome", proof: proofOfWelcome(key, said.nonce) });
          if (--missing === 0) resolve(places);
        });
      });
    });
  }

  /** The other may not be there yet. */
  async #connect(host: string, port: number, other: number, own: number): Promise<Peer> {
    const { index, count, key } = this.#meeting;
    while (!this.#ended) {
      const socket = tcpConnect({ host, port, noDelay: true });
      this.#leaving = socket;
      if (!(await isConnected(socket))) {
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
        continue;
      }
      const peer = framed(socket);
      const challenge = await answerOf(peer, other);
      if (challenge.type !== "challenge") throw refusedBy(other);
      const said = { index, count, port: own, nonce: newNonce() };
      sendFrame(socket, { type: "hello", ...said, proof: proofOfHello(key, challenge.nonce, said) });
      const welcome = await answerOf(peer, other);
      if (welcome.type !== "welcome" || !isSame(welcome.proof, proofOfWelcome(key, said.nonce))) {
        throw refusedBy(other);
      }
      peer.trust();
      this.#leaving = undefined;
      this.#peers[other] = peer;
      return peer;
    }
    throw refusedBy(other);
  }
}

/** What the other says next. @throws GROUP_FAILED when it hangs up */
function answerOf(peer: Peer, process: number): Promise<Header> {
  return new Promise((resolve, reject) => {
    peer.socket.once("close", () => reject(refusedBy(process)));
    peer.once(resolve);
  });
}

function refusedBy(process: number): GlimtError {
  return new GlimtError(
    "GROUP_FAILED",
    `Process ${process} of the group refused the connection: is the key the same, and the count?`,
  );
}

function newNonce(): string {
  return randomBytes(NONCE_BYTES).toString("hex");
}

/** That who comes knows the key, and what it says with it. */
function proofOfHello(key: string, challenge: string, said: Omit<Hello, "type" | "proof">): string {
  const { index, count, port, nonce } = said;
  return proof(key, ["hello", challenge, index, count, port, nonce]);
}

/** That who listens knows the key. */
function proofOfWelcome(key: string, nonce: string): string {
  return proof(key, ["welcome", nonce]);
}

function proof(key: string, said: readonly (string | number)[]): string {
  return createHmac("sha256", key).update(JSON.stringify(said)).digest("hex");
}

/** Strangers may send whatever is JSON. */
function isHello(said: Header): said is Hello {
  return (
    said.type === "hello" &&
    [said.index, said.count, said.port].every(Number.isInteger) &&
    [said.nonce, said.proof].every((text) => typeof text === "string")
  );
}

function isSame(given: unknown, expected: string): boolean {
  if (typeof given !== "string") return false;
  const [a, b] = [Buffer.from(given), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}

function listening(server: Server, host: string | undefined, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    // Also later, for want of files: who could not come in tries again.
    server.on("error", (cause: Error) =>
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
