/** Servers that lie, stall, redirect or never end; which hosts are asked at all, and what they are told. */
import { readFileSync } from "node:fs";
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from "node:http";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, createServer as createSocketServer } from "node:net";
import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readLocalFile } from "../../../src/media/files.node.ts";
import { readSource, type SourceOptions } from "../../../src/media/source.ts";
import type { HttpAnswer, HttpRequest } from "../../../src/media/sources/http.ts";
import { requestAt, requestPublic } from "../../../src/media/sources/public-request.node.ts";
import { type SourceDescription, type Sources, sourceRule } from "../../../src/media/sources/source-rule.ts";
import { failure } from "./failure.ts";

const picture = new Uint8Array(readFileSync(`${process.cwd()}/test/golden/data/media/rgb.png`));
const servers: Server[] = [];
test.after(() => {
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
});

/** Of glimt.example, signed by itself until the year 2126. */
const KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg2GUmzQXBOCoEqNTy
RFUH/KsaWjMaQy+a4cFWjOgS67ShRANCAARfy4Tb6dB+fbfeD61L7azD+zU5m5jj
+kIOR4u42Az/sqCmcBPziTj85c8AnwqntQf45pJD4rxB/+D7zKs6Sq3X
-----END PRIVATE KEY-----
`;
const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBoTCCAUegAwIBAgIUGss4LbTeDpVGY7Z1b2rPOp7enp4wCgYIKoZIzj0EAwIw
GDEWMBQGA1UEAwwNZ2xpbXQuZXhhbXBsZTAgFw0yNjExMjkwNzUyMDFaGA8yMTI2
MTEwNTA3NTIwMVowGDEWMBQGA1UEAwwNZ2xpbXQuZXhhbXBsZTBZMBMGByqGSM49
AgEGCCqGSM49AwEHA0IABF/LhNvp0H59t94PrUvtrMP7NTmbmOP6Qg5Hi7jYDP+y
oKZwE/OJOPzlzwCfCqe1B/jmkkPivEH/4PvMqzpKrdejbTBrMB0GA1UdDgQWBBRl
LI+4Db+L3QjCQ0slvAGjSIUfUTAfBgNVHSMEGDAWgBRlLI+4Db+L3QjCQ0slvAGj
SIUfUTAPBgNVHRMBAf8EBTADAQH/MBgGA1UdEQQRMA+CDWdsaW10LmV4YW1wbGUw
CgYIKoZIzj0EAwIDSAAwRQIgBArWX6msTcHwVLaIecmo3C6MARXI5VBO6MIi0EzH
4/kCIQDEbXumI0TiZaxTuaNDbvIkZzADBGipJhcjRF6VCqr5Og==
-----END CERTIFICATE-----
`;

/** The address of a server on 127.0.0.1, without a slash. */
async function serve(answer: RequestListener): Promise<string> {
  const server = createServer(answer).listen(0, "127.0.0.1");
  servers.push(server);
  await new Promise((resolve) => server.on("listening", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const read = (address: string, options: SourceOptions = {}) =>
  readSource(address, { readFile: readLocalFile, requestPublic, ...options });
const limited = (sources: Sources) => ({ sources: sourceRule(sources) });

/** Both ways in which bodies are read. */
const RULES: readonly Sources[] = ["any", { hosts: ["127.0.0.1"] }];

test("a picture is read, whatever its pieces", async () => {
  const base = await serve(async ({ url }, response) => {
    if (url === "/whole") response.setHeader("content-length", picture.length);
    if (url === "/gzip") return void response.setHeader("content-encoding", "gzip").end(gzipSync(picture));
    for (const byte of url === "/bytes" ? picture : []) response.write(Uint8Array.of(byte));
    response.end(url === "/bytes" ? "" : picture);
  });
  for (const sources of RULES) {
    for (const path of ["/whole", "/chunked", "/bytes", "/gzip"]) {
      const { bytes, name } = await read(base + path, limited(sources));
      assert.equal(bytes, picture, path);
      assert.is(bytes.buffer.byteLength, bytes.length, "nothing beside them");
      assert.is(name, base + path);
    }
  }
});

test("a body that is longer than the limit ends there", async () => {
  let sent = 0;
  const endless = (response: ServerResponse) => {
    const piece = Buffer.alloc(2 ** 16);
    const more = () => {
      while (!response.destroyed && response.write(piece)) sent += piece.length;
    };
    response.on("drain", more);
    more();
  };
  const bomb = gzipSync(Buffer.alloc(2 ** 26));
  const base = await serve(({ url }, response) => {
    if (url === "/endless") return endless(response);
    if (url === "/announced") return void response.setHeader("content-length", 2 ** 40).write("x");
    response.setHeader("content-encoding", "gzip").end(bomb);
  });
  const limit = 2 ** 20;
  for (const sources of RULES) {
    for (const [path, message] of [
      ["/endless", /has more than 1048576 bytes/],
      ["/bomb", /has more than 1048576 bytes/],
      ["/announced", /has 1099511627776 bytes, more than the limit of 1048576/],
    ] as const) {
      const error = await failure(read(base + path, { ...limited(sources), maxSourceBytes: limit }));
      assert.is(error.code, "SOURCE_TOO_LARGE", path);
      assert.match(error.message, message);
      assert.match(error.message, /raise the option maxSourceBytes/);
    }
  }
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.ok(sent < 20 * limit, `${sent} bytes were sent`);
});

test("a server that stalls is given up, and an abort is heard at once", async () => {
  const open = new Set<IncomingMessage["socket"]>();
  const base = await serve(({ url, socket }, response) => {
    open.add(socket);
    socket.on("close", () => open.delete(socket));
    if (url === "/body") response.write(picture.subarray(0, 100));
  });
  for (const sources of RULES) {
    for (const path of ["/headers", "/body"]) {
      const late = await failure(read(base + path, { ...limited(sources), sourceTimeout: 80 }));
      assert.is(late.code, "TIMED_OUT");
      assert.match(late.message, /gave nothing for 80 ms; raise the option sourceTimeout/);
      const controller = new AbortController();
      const task = failure(read(base + path, { ...limited(sources), signal: controller.signal }));
      await new Promise((resolve) => setTimeout(resolve, 40));
      const start = performance.now();
      controller.abort();
      assert.is((await task).code, "ABORTED");
      assert.ok(performance.now() - start < 20_000);
    }
  }
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.is(open.size, 0, "connections are closed");
});

test("a server that sends a byte now and then has ten times as long", async () => {
  const base = await serve((_, response) => {
    const timer = setInterval(() => response.write("x"), 10);
    response.on("close", () => clearInterval(timer));
  });
  const error = await failure(read(base, { sourceTimeout: 100 }));
  assert.is(error.code, "TIMED_OUT");
  assert.match(error.message, /is not read after 1000 ms, 10 times the option sourceTimeout/);
});

test("what came while this thread was busy counts", async () => {
  const base = await serve(async (_, response) => {
    response.write(picture.subarray(0, 50));
    setTimeout(() => response.end(picture.subarray(50)), 20);
  });
  // Servers of this process answer only when it has time: the answer is on its way before it is busy.
  const task = read(base, { sourceTimeout: 500 });
  task.catch(() => {});
  for (let i = 0; i < 4; i++) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    const until = performance.now() + 700;
    while (performance.now() < until);
  }
  assert.equal((await task).bytes, picture);
});

test("what servers and networks answer is said in a few words", async () => {
  const base = await serve(({ url, socket }, response) => {
    if (url?.startsWith("/404")) return void response.writeHead(404).end();
    if (url === "/500") return void response.writeHead(500, "A\tB").end("<html>");
    if (url === "/break") return void socket.destroy();
    if (url === "/half")
      return void response.writeHead(200, { "content-length": 9 }).write("1234", () => socket.destroy());
    if (url === "/page") return void response.end("\n<!-- a\n --><!DOCTYPE html><title>x</title>");
    if (url === "/page2") return void response.end("<html lang=en>");
    if (url === "/wrong") return void response.setHeader("content-encoding", "gzip").end("no gzip");
    response.end("hello");
  });
  const unused = await serve((_, response) => response.end());
  const closed = servers.pop() as Server;
  await new Promise((resolve) => closed.close(resolve));
  const noHttp = createSocketServer((socket) => socket.end("220 mail.example ESMTP\r\n")).listen(
    0,
    "127.0.0.1",
  );
  await new Promise((resolve) => noHttp.on("listening", resolve));
  const cases: [address: string, message: RegExp][] = [
    [`${base}/404`, /can not be read: the server answered 404 Not Found\.$/],
    [`${base}/500`, /the server answered 500/],
    [`${base}/break`, /can not be read: fetch failed: other side closed/],
    [`${base}/half`, /can not be read: /],
    [`${base}/page`, /the address is a web page's \(HTML\), not a picture's/],
    [`${base}/page2`, /the address is a web page's/],
    [`${base}/wrong`, /can not be read: /],
    [unused, /127\.0\.0\.1:\d+ refuses the connection/],
    [`http://127.0.0.1:${(noHttp.address() as AddressInfo).port}/`, /can not be read: /],
    ["http://glimt.invalid/a.png", /there is no host glimt\.invalid \(DNS: /],
    ["http:///", /it is no valid address/],
    [
      "http://bob:s3cret@ho st/a.png",
      /^Image http:\/\/ho st\/a\.png can not be read: it is no valid address/,
    ],
    ["https://bob:s3/cr@et@host:port/a", /^Image https:\/\/host:port\/a can not be read/],
    [`${unused.replace("//", "//bob:s3cret@")}/a.png?token=s3cret`, /a\.png\?\.\.\. can not be read/],
    [`${base}/404?${"x".repeat(5000)}`, /404\?\.\.\. can not be read/],
    [`${base}/404/${"x".repeat(5000)}`, /\.\.\. \(\d+ characters\) can not be read/],
  ];
  for (const [address, message] of cases) {
    const error = await failure(read(address));
    assert.is(error.code, "IMAGE_INVALID", address);
    assert.match(error.message, message, error.message);
    assert.not.match(error.message, /s3cret|s3\/cr/);
    assert.ok(error.message.length < 300, error.message);
  }
  noHttp.close();
});

/** Which credentials each request to a server has. */
function recorder(answer: RequestListener = (_, response) => response.end(picture)) {
  const seen: (string | undefined)[] = [];
  const base = serve((request, response) => {
    seen.push(request.headers.authorization);
    return answer(request, response);
  });
  return { seen, base };
}

test("a name and a password in an address go to its host, and nowhere else", async () => {
  const basic = (text: string) => `Basic ${Buffer.from(text).toString("base64")}`;
  const other = recorder();
  const otherBase = await other.base;
  const own = recorder(({ url }, response) => {
    if (url === "/own") return void response.writeHead(302, { location: "/" }).end();
    if (url === "/other") return void response.writeHead(302, { location: otherBase }).end();
    response.end(picture);
  });
  const ownBase = await own.base;
  for (const sources of RULES) {
    const withNames = ownBase.replace("//", "//b%C3%B6b:s3%3Acret%40@");
    const { name } = await read(`${withNames}/`, limited(sources));
    assert.is(name, `${ownBase}/`);
    await read(`${withNames}/own`, limited(sources));
    await read(`${withNames}/other`, limited(sources));
    await read(`${ownBase.replace("//", "//token@")}/`, limited(sources));
    assert.equal(own.seen.splice(0), [...new Array(4).fill(basic("böb:s3:cret@")), basic("token:")]);
    assert.ok(other.seen.splice(0).every((header) => !header?.includes(basic("böb:s3:cret@"))));
  }
});

test("hosts: each address on the way must be allowed", async () => {
  const inner = recorder();
  const innerBase = await inner.base;
  const targets: Record<string, string> = {
    "/inner": `${innerBase}/`,
    "/name": innerBase.replace("127.0.0.1", "localhost"),
    "/file": "file:///etc/hosts",
    "/data": "data:image/png;base64,aGk=",
    "/round": "/round",
    "/here": "/ok",
    "/bad": "http://[",
  };
  const base = await serve(({ url = "" }, response) => {
    if (targets[url] === undefined) return void response.end(picture);
    response.writeHead(302, { location: targets[url] }).end();
  });
  const port = new URL(base).port;
  const rule = { ...limited({ hosts: [`127.0.0.1:${port}`] }), sourceTimeout: 5000 };
  assert.equal((await read(`${base}/here`, rule)).bytes, picture);
  for (const path of ["/inner", "/name", "/file", "/data"]) {
    const error = await failure(read(base + path, rule));
    assert.is(error.code, "SOURCE_REFUSED", error.message);
    assert.match(error.message, /is not allowed by the option sources/);
    assert.not.match(error.message, /localhost|etc/);
  }
  assert.match((await failure(read(`${base}/round`, rule))).message, /redirects more than 20 times/);
  assert.match((await failure(read(`${base}/bad`, rule))).message, /redirects to no valid address/);
  for (const sources of ["inline", { folders: ["/"] }, { hosts: ["example.org"] }] as Sources[]) {
    assert.is((await failure(read(`${innerBase}/`, limited(sources)))).code, "SOURCE_REFUSED");
  }
  assert.equal(inner.seen, [], "the inner server was never asked");
});

test("public hosts: inner ones are refused in every spelling, and never asked", async () => {
  const inner = recorder();
  const { port } = new URL(await inner.base);
  const spellings = [
    "127.0.0.1",
    "localhost",
    "LOCALHOST.",
    "foo.localhost",
    "127.1",
    "2130706433",
    "0x7f.1",
    "0177.0.0.1",
    "0",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::]",
    "１２７.0.0.1",
  ];
  const messages = new Set<string>();
  for (const host of spellings) {
    const address = `http://${host}:${port}/a.png`;
    const error = await failure(read(address, limited({ hosts: ["public"] })));
    assert.is(error.code, "SOURCE_REFUSED", error.message);
    messages.add(error.message.replace(/http\S+/, "ADDRESS"));
  }
  for (const address of [
    "http://169.254.169.254/latest/meta-data/",
    "http://10.0.0.1/",
    "http://no-such-host.example/",
  ]) {
    const error = await failure(read(address, limited({ hosts: ["public"] })));
    assert.is(error.code, "SOURCE_REFUSED", error.message);
    messages.add(error.message.replace(/http\S+/, "ADDRESS"));
  }
  assert.is(messages.size, 1, "inner hosts that are there and names that are not give one message");
  assert.equal(inner.seen, []);
});

test("a host is public when all of its addresses are", async () => {
  const request = { headers: {}, signal: new AbortController().signal };
  const url = new URL("http://rebound.example:1/");
  for (const addresses of [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["::ffff:127.0.0.1"], ["fd00::1"], []]) {
    assert.is(await requestPublic(url, request, async () => addresses), null, addresses.join());
  }
  const unknown = () => Promise.reject(new Error("ENOTFOUND"));
  assert.is(await requestPublic(url, request, unknown), null);
});

test("the name is looked up once: what is connected to is what was checked", async () => {
  const hosts: (string | undefined)[] = [];
  const base = await serve(({ headers }, response) => {
    hosts.push(headers.host);
    response.end(picture);
  });
  const url = new URL(base.replace("127.0.0.1", "glimt.example"));
  const request = { headers: { "X-Some": "1" }, signal: new AbortController().signal };
  // Nobody listens at the first address.
  const answer = await requestAt(url, ["127.0.0.2", "127.0.0.1"], request);
  assert.equal(await bytesOf(answer), picture);
  assert.equal(hosts, [url.host]);
  const error: Error = await requestAt(url, ["127.0.0.2"], request).then(
    () => assert.unreachable() as never,
    (thrown) => thrown,
  );
  assert.match(error.message, /ECONNREFUSED/);
});

test("what public hosts send compressed is read, and ends at the limit", async () => {
  const bomb = gzipSync(Buffer.alloc(2 ** 26));
  const bodies: Record<string, [encoding: string, body: Uint8Array]> = {
    "/gzip": ["gzip", gzipSync(picture)],
    "/deflate": ["deflate", deflateSync(picture)],
    "/br": ["br", brotliCompressSync(picture)],
    "/bomb": ["GZIP", bomb],
    "/other": ["zstd-9", picture],
    "/constructor": ["constructor", picture],
    "/__proto__": ["__proto__", picture],
  };
  let closed = 0;
  const asked: (string | string[] | undefined)[] = [];
  const base = await serve(({ url = "", headers }, response) => {
    asked.push(headers["accept-encoding"]);
    response.on("close", () => closed++);
    const [encoding, body] = bodies[url] as [string, Uint8Array];
    response.setHeader("content-encoding", encoding).end(body);
  });
  const options = {
    ...limited({ hosts: ["public"] }),
    maxSourceBytes: 2 ** 20,
    // As if the name led there.
    requestPublic: (url: URL, request: HttpRequest) =>
      requestAt(new URL(base + url.pathname), ["127.0.0.1"], request),
  };
  for (const path of ["/gzip", "/deflate", "/br"]) {
    assert.equal((await read(`http://glimt.example${path}`, options)).bytes, picture);
  }
  assert.is((await failure(read("http://glimt.example/bomb", options))).code, "SOURCE_TOO_LARGE");
  for (const [path, [encoding]] of Object.entries(bodies).slice(4)) {
    const { message } = await failure(read(`http://glimt.example${path}`, options));
    assert.match(message, `encoding "${encoding}"`);
  }
  while (closed < asked.length) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.ok(asked.every((encoding) => encoding === "identity"));
});

test("https does not lead to http where hosts are limited", async () => {
  const inner = recorder();
  const base = await inner.base;
  const redirect = async (): Promise<HttpAnswer> =>
    new Response(null, { status: 302, headers: { location: `${base}/` } });
  const options = { ...limited({ hosts: ["public", "127.0.0.1"] }), requestPublic: redirect };
  assert.is((await failure(read("https://glimt.example/a.png", options))).code, "SOURCE_REFUSED");
  assert.equal(inner.seen, []);
  assert.equal((await read("http://glimt.example/a.png", options)).bytes, picture);
});

test("of a redirect to a host that is not there, that host is named, and no signature", async () => {
  const gone = await serve(() => {});
  servers.pop()?.close();
  const base = await serve((_, response) =>
    response.writeHead(302, { location: `${gone}/a.png?signature=s3cret` }).end(),
  );
  for (const sources of RULES) {
    const { message } = await failure(read(`${base}/a.png`, limited(sources)));
    assert.match(message, `${new URL(gone).host} refuses the connection`);
    assert.not.match(message, "s3cret");
  }
});

test("where everything is allowed https may lead to http, and to nothing that is no web address", async () => {
  const own = globalThis.fetch;
  const targets: Record<string, string> = {
    "https://example.org/a.png": "http://example.net/b.png",
    "https://example.org/file": "file:///etc/hosts",
  };
  globalThis.fetch = async (address) => {
    const location = targets[String(address)];
    return location ? new Response(null, { status: 302, headers: { location } }) : new Response(picture);
  };
  try {
    assert.equal((await read("https://example.org/a.png")).bytes, picture);
    const error = await failure(read("https://example.org/file"));
    assert.is(error.code, "IMAGE_INVALID");
    assert.match(error.message, /redirects to no http address/);
  } finally {
    globalThis.fetch = own;
  }
});

test("where everything is allowed a redirect that can not be seen is the browser's to follow", async () => {
  const own = globalThis.fetch;
  const modes: unknown[] = [];
  globalThis.fetch = async (_, init) => {
    modes.push(init?.redirect);
    if (init?.redirect !== "manual") return new Response(picture);
    return { type: "opaqueredirect", status: 0, headers: new Headers(), body: null } as Response;
  };
  try {
    assert.equal((await read("https://example.org/a.png")).bytes, picture);
    assert.equal(modes, ["manual", "follow"]);
  } finally {
    globalThis.fetch = own;
  }
});

test("letters of a server that would do something in a terminal are shown, not sent there", async () => {
  const server = createSocketServer((socket) => {
    socket.on("error", () => {}).end("HTTP/1.1 500 \x1b[31mred\x07\r\ncontent-length: 0\r\n\r\n");
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.on("listening", resolve));
  const { port } = server.address() as AddressInfo;
  const { message } = await failure(read(`http://127.0.0.1:${port}/a.png`));
  assert.match(message, "the server answered 500 \\u001b[31mred\\u0007");
  server.close();
});

test("a certificate that nobody signed is said", async () => {
  const server = createTlsServer({ key: KEY, cert: CERTIFICATE }, (_, response) => response.end(picture));
  server.listen(0, "127.0.0.1");
  await new Promise((resolve) => server.on("listening", resolve));
  const { port } = server.address() as AddressInfo;
  const error = await failure(read(`https://127.0.0.1:${port}/a.png`));
  assert.match(
    error.message,
    /the TLS connection to 127\.0\.0\.1:\d+ is not trusted or fails \(DEPTH_ZERO_SELF_SIGNED_CERT\)/,
  );
  const request = { headers: {}, signal: new AbortController().signal };
  const thrown: NodeJS.ErrnoException = await requestAt(
    new URL(`https://glimt.example:${port}/`),
    ["127.0.0.1"],
    request,
  ).then(
    () => assert.unreachable() as never,
    (reason) => reason,
  );
  assert.is(thrown.code, "DEPTH_ZERO_SELF_SIGNED_CERT");
  server.close();
});

test("a function is asked for each address, without the password in it", async () => {
  const base = await serve(({ url }, response) => {
    if (url === "/a") return void response.writeHead(301, { location: "/b" }).end();
    response.end(picture);
  });
  const asked: SourceDescription[] = [];
  const options = limited((source) => {
    asked.push(source);
    return true;
  });
  assert.equal((await read(`${base.replace("//", "//bob:s3cret@")}/a`, options)).bytes, picture);
  assert.equal(asked, [
    { kind: "http", url: `${base}/a`, host: "127.0.0.1" },
    { kind: "http", url: `${base}/b`, host: "127.0.0.1" },
  ]);
});

test("a redirect that can not be seen, as in browsers, is refused; cookies stay at home", async () => {
  const own = globalThis.fetch;
  let sent: RequestInit | undefined;
  globalThis.fetch = async (_, init) => {
    sent = init;
    return { type: "opaqueredirect", status: 0, headers: new Headers(), body: null } as Response;
  };
  try {
    for (const sources of [{ hosts: ["public"] }, { hosts: ["example.org"] }, () => true] as Sources[]) {
      const error = await failure(readSource("https://example.org/a.png", limited(sources)));
      assert.is(error.code, "SOURCE_REFUSED");
      assert.is(sent?.redirect, "manual");
      assert.is(sent?.credentials, "omit");
    }
    sent = undefined;
    for (const host of ["localhost", "127.0.0.1", "10.1", "[::1]", "printer", "a.local"]) {
      const error = await failure(readSource(`http://${host}/a.png`, limited({ hosts: ["public"] })));
      assert.is(error.code, "SOURCE_REFUSED");
    }
    assert.is(sent, undefined, "inner hosts are told by their letters where addresses can not be seen");
  } finally {
    globalThis.fetch = own;
  }
});

test("texts that are made to take long to look at take none", async () => {
  const comments = await serve((_, response) => response.end("<!---->".repeat(99)));
  const start = performance.now();
  for (const source of [
    comments,
    "<!---->".repeat(500),
    `${" ".repeat(4000)}*`,
    `${"A".repeat(4000)}.`,
    `http:${"/".repeat(4000)}`,
    `http:${"a@".repeat(100_000)} `,
    `data:${";".repeat(100_000)}`,
    `data:${" ".repeat(900)}x,`,
    `${"a:".repeat(2000)}`,
  ]) {
    await read(source).catch(() => {});
  }
  assert.ok(performance.now() - start < 20_000, `${performance.now() - start} ms`);
});

test("where there are no files a path is relative to the page or the worker", async () => {
  const base = await serve(({ url }, response) => response.end(url === "/pictures/a.png" ? picture : "no"));
  const at = async (scope: object, task: () => Promise<unknown>) => {
    Object.assign(globalThis, scope);
    try {
      await task();
    } finally {
      for (const name of Object.keys(scope)) delete (globalThis as Record<string, unknown>)[name];
    }
  };
  const own = (sources: Sources = "any") => readSource("a.png", limited(sources));
  for (const scope of [
    { document: { baseURI: `${base}/pictures/` } },
    { location: { href: `${base}/pictures/w.js` } },
  ]) {
    await at(scope, async () => {
      assert.equal((await own()).bytes, picture);
      assert.is((await failure(own("inline"))).code, "SOURCE_REFUSED");
      assert.equal((await own({ hosts: ["127.0.0.1"] })).bytes, picture);
    });
  }
  for (const scope of [
    {},
    { location: { href: "blob:http://a/1" } },
    { location: { href: "data:text/javascript,1" } },
  ]) {
    await at(scope, async () => {
      const error = await failure(own());
      assert.match(error.message, /it is a relative address, and there is no page here/);
      assert.match((await failure(readSource("file:///a.png", {}))).message, /no file: ones/);
    });
  }
});

async function bytesOf({ body }: HttpAnswer): Promise<Uint8Array> {
  return new Uint8Array(await new Response(body).arrayBuffer());
}

test.run();
