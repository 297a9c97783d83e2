/** Clients that ask and do not read. */
import { connect, type Socket } from "node:net";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { listen } from "../../src/server/listen.node.ts";

/** More than any socket takes in advance. */
const LARGE = new Uint8Array(64 * 2 ** 20);

/** Asks, and reads nothing. @returns when the server has given it up */
async function askWithoutReading(body: BodyInit): Promise<void> {
  let givenUp = () => {};
  const hasGivenUp = new Promise<void>((resolve) => (givenUp = resolve));
  const listening = await listen({
    requestTimeout: 1,
    fetch: async ({ signal }) => {
      signal.addEventListener("abort", () => givenUp());
      return new Response(body);
    },
    close: async () => undefined,
  });
  const socket: Socket = connect(listening.port, listening.host);
  socket.on("error", () => undefined);
  socket.write("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n");
  await hasGivenUp;
  socket.destroy();
  await listening.close();
}

test("an answer that nobody reads is held no longer than its request's time", () => askWithoutReading(LARGE));

test("nor is a stream, and what makes it hears of that", async () => {
  let isCancelled = false;
  const stream = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.enqueue(LARGE),
    cancel: () => {
      isCancelled = true;
    },
  });
  await askWithoutReading(stream);
  assert.ok(isCancelled);
});

test("a time that is none is refused", async () => {
  const server = { fetch: async () => new Response(), close: async () => undefined, requestTimeout: 0 };
  const error = await listen(server).catch((thrown) => thrown);
  assert.match(String(error), "requestTimeout");
});

test.run();
