/** What a request that got no answer says: the reason and what to do, whatever runtime names it how. */
import { createServer } from "node:net";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { httpFiles } from "../../src/checkpoint/http.ts";
import { explainFailure } from "../../src/http/failure.ts";
import { failure } from "../checkpoint/fixtures.ts";
import { withServer } from "../checkpoint/server.ts";

const url = new URL("https://models.example:8443/a/config.json?signature=secret");
const nodes = (code: string, message = "connect") =>
  new TypeError("fetch failed", { cause: Object.assign(new Error(message), { code }) });
const denos = (message: string) =>
  new TypeError(`error sending request for url (https://bob:s3cret@a/b): ${message}`);
const named = (name: string, message: string) => Object.assign(new Error(message), { name });

const FAILURES: readonly (readonly [error: unknown, says: string | RegExp, passing: boolean])[] = [
  [nodes("ECONNREFUSED"), "models.example:8443 refuses the connection", true],
  [
    new TypeError("fetch failed", { cause: { errors: [{ code: "ECONNREFUSED" }], message: "" } }),
    "refuses the connection",
    true,
  ],
  [nodes("ENOTFOUND"), "no host models.example (DNS: ENOTFOUND)", false],
  [nodes("EAI_AGAIN"), "DNS: EAI_AGAIN", true],
  [nodes("DEPTH_ZERO_SELF_SIGNED_CERT"), "NODE_EXTRA_CA_CERTS", false],
  [nodes("CERT_HAS_EXPIRED"), "TLS connection to models.example:8443", false],
  [nodes("ERR_TLS_CERT_ALTNAME_INVALID"), "TLS", false],
  [nodes("ERR_SSL_WRONG_VERSION_NUMBER"), "is it https", false],
  [nodes("EPROTO"), "is it https", false],
  [nodes("EHOSTUNREACH"), "models.example:8443 can not be reached (EHOSTUNREACH)", true],
  [nodes("UND_ERR_CONNECT_TIMEOUT"), "models.example:8443 can not be reached", true],
  [
    denos("client error (Connect): dns error: failed to lookup address information"),
    "no host models.example",
    false,
  ],
  [
    denos("client error (Connect): tcp connect error: Connection refused (os error 111)"),
    "refuses the connection",
    true,
  ],
  [denos("client error (Connect): invalid peer certificate: UnknownIssuer"), "TLS connection", false],
  [denos("something else"), /^error sending request for url \(https:\/\/a\/b\): something else$/, true],
  [new TypeError(`fetch failed\n${"x".repeat(500)}`), /^fetch failed x{1,200}\.\.\.$/, true],
  [denos("received corrupt message of type InvalidContentType"), "is it https", false],
  [new TypeError(`error sending request for url (${url}): reset`), /config\.json\): reset$/, true],
  [
    new TypeError("error sending request for url (https://cdn.test/x?signature=s3cret): reset"),
    /url \(https:\/\/cdn\.test\/x\): reset$/,
    true,
  ],
  [nodes("ECONNRESET", "other side closed"), "fetch failed: other side closed", true],
  [new TypeError("Failed to fetch"), "CORS", true],
  [new TypeError("NetworkError when attempting to fetch resource."), "CORS", true],
  [new TypeError("Load failed"), "CORS", true],
  [named("NotCapable", "Requires net access"), "--allow-net=models.example:8443", false],
  [named("PermissionDenied", "Requires net access"), "--allow-net=models.example:8443", false],
  ["a string", "a string", true],
  [null, "null", true],
];

for (const [index, [error, says, passing]] of FAILURES.entries()) {
  test(`failure ${index}: ${says}`, () => {
    const found = explainFailure(error, url);
    assert.match(found.reason, says);
    assert.is(found.passing, passing);
  });
}

test("a port where nobody listens, and one where nobody speaks HTTP or TLS", async () => {
  const server = createServer((socket) => socket.resume().end("hello\r\n"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const quick = { retries: 1, retryDelay: 1 };
  for (const address of [`http://127.0.0.1:${port}`, `https://127.0.0.1:${port}`]) {
    const error = await failure(() => httpFiles(address, quick).size("config.json"));
    assert.is(error.code, "CHECKPOINT_NOT_FOUND");
  }
  await new Promise((resolve) => server.close(resolve));
  const refused = await failure(() => httpFiles(`http://127.0.0.1:${port}`, quick).size("config.json"));
  assert.match(refused.message, `127.0.0.1:${port} refuses the connection`);
});

test("https asked of a server that speaks http", async () => {
  await withServer(
    (_, response) => response.end("{}"),
    async (address) => {
      const files = httpFiles(address.replace("http:", "https:"), { retries: 3, retryDelay: 10_000 });
      assert.match((await failure(() => files.readAll("config.json"))).message, "is it https");
    },
  );
});

test.run();
