/** Sockets: a server that is told to end, and what is no server. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { listen } from "../../src/server/listen.node.ts";
import { createServer } from "../../src/server/server.ts";
import { loadDemo } from "./demo.ts";

test("who comes while answers are finished is told that the server ends, and nobody is behind it", async () => {
  const model = await loadDemo();
  const server = createServer(model);
  let finish = () => {};
  const finished = new Promise<void>((resolve) => (finish = resolve));
  const listening = await listen({
    fetch: server.fetch,
    // As with an answer that takes until then.
    close: async () => {
      await Promise.all([server.close(), finished]);
    },
  });
  const closed = listening.close();
  const told = await fetch(`${listening.url}/health`).finally(finish);
  assert.is(told.status, 503);
  await told.text();
  await closed;
  const refused = await fetch(`${listening.url}/health`).then(
    () => false,
    () => true,
  );
  assert.ok(refused);
  await model.dispose();
});

test("what is no server is not listened for: a model itself, nothing", async () => {
  const model = await loadDemo();
  for (const wrong of [model, undefined]) {
    const error = await listen(wrong as never).then(
      (listening) => listening.close({ timeout: 0 }),
      (thrown) => thrown,
    );
    assert.match(String(error), "GlimtError: listen needs a server, as createServer gives it.");
  }
  await model.dispose();
});

test.run();
