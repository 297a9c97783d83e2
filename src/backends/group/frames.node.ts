/** What processes of a group send one another: frames of two lengths, a header in JSON, a body. */
import type { Socket } from "node:net";
import type { Letter } from "./run-mail.ts";

/** Where a process listens for others. */
export interface Place {
  readonly host: string;
  readonly port: number;
}

/** What processes that meet say in turn; see joining.node.ts. */
export interface Hello {
  readonly type: "hello";
  readonly index: number;
  readonly count: number;
  /** Where it listens. */
  readonly port: number;
  readonly nonce: string;
  readonly proof: string;
}

export type Header =
  | { readonly type: "challenge"; readonly nonce: string }
  | Hello
  | { readonly type: "welcome"; readonly proof: string }
  | { readonly type: "roster"; readonly places: readonly Place[] }
  | ({ readonly type: "letter"; readonly mail: number; readonly from: number; readonly to: number } & Omit<
      Letter,
      "bytes"
    >)
  | { readonly type: "alive" };

type OnFrame = (header: Header, body: Uint8Array) => void;

export interface Peer {
  readonly socket: Socket;
  /** Frames that come while nobody listens are kept for the next who does. */
  listen(onFrame: OnFrame): void;
  /** One frame. */
  once(onFrame: OnFrame): void;
  /** It knows the key: it may send more than headers. */
  trust(): void;
}

const PREFIX_BYTES = 8;
/** More than any of ours has, a roster of 1024 processes among them. */
const MOST_HEADER_BYTES = 1 << 17;

export function sendFrame(socket: Socket, header: Header, body: Uint8Array = new Uint8Array()): void {
  const text = Buffer.from(JSON.stringify(header));
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt32LE(text.length, 0);
  prefix.writeUInt32LE(body.length, 4);
  socket.write(Buffer.concat([prefix, text, body]));
}

/** A socket whose bytes are frames. Who sends something else, or a body before it is trusted, is hung up on. */
export function framed(socket: Socket): Peer {
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
