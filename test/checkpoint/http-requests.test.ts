/** How requests are sent: headers and passwords stay with their origin, what stalls or never ends is given up. */
import type { RequestListener } from "node:http";
import { gzipSync } from "node:zlib";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { CheckpointFiles } from "../../src/checkpoint/files.ts";
import { type HttpOptions, httpFiles } from "../../src/checkpoint/http.ts";
import { openFiles } from "../../src/node-files.ts";
import { failure } from "./fixtures.ts";
import { nameOf, serve, withServer } from "./server.ts";

const quick: HttpOptions = { retryDelay: 1, retries: 2 };
const config = new Map([["config.json", "{}"]]);

const SECRETS = { authorization: "Bearer secret", cookie: "session=secret", "x-api-key": "secret" };

/** Two origins: the first redirects to what `target` makes of its address and the second's. */
async function redirected(
  target: (first: string, second: string) => string,
  headers: Record<string, string> = SECRETS,
  status = 302,
): Promise<Record<string, unknown>[]> {
  const seen: Record<string, unknown>[] = [];
  const note: RequestListener = (request, response) => {
    const { authorization = null, cookie = null, "x-api-key": key = null } = request.headers;
    seen.push({ port: request.socket.localPort, authorization, cookie, key });
    serve(config, request, response);
  };
  await withServer(note, (second) =>
    withServer(
      (request, response) => {
        if (request.url !== "/start/config.json") return note(request, response);
        const first = `http://127.0.0.1:${request.socket.localPort}`;
        response.writeHead(status, { location: target(first, second) }).end();
      },
      async (first) => {
        const text = new TextDecoder().decode(
          (await httpFiles(`${first}/start`, { ...quick, headers }).readAll("config.json")) as Uint8Array,
        );
        assert.is(text, "{}");
      },
    ),
  );
  return seen;
}

for (const status of [301, 302, 303, 307, 308]) {
  test(`a redirect (${status}) to another origin takes none of the caller's headers along`, async () => {
    const [request] = await redirected((_, second) => `${second}/config.json`, SECRETS, status);
    assert.equal([request?.authorization, request?.cookie, request?.key], [null, null, null]);
  });
}

test("a redirect within the origin keeps them, relative or not", async () => {
  for (const target of ["/there/config.json", "there/config.json"]) {
    const [request] = await redirected(() => target);
    assert.equal(
      [request?.authorization, request?.cookie, request?.key],
      ["Bearer secret", "session=secret", "secret"],
    );
  }
});

test("a name and password in the address a redirect leads to are not used", async () => {
  const [request] = await redirected(
    (_, second) => `${second.replace("//", "//bob:s3cret@")}/config.json`,
    {},
  );
  assert.is(request?.authorization, null);
});

test("of a redirect to a server that is not there, that one is named", async () => {
  const gone = await withServer(
    () => {},
    async (url) => url,
  );
  await withServer(
    (_, response) => response.writeHead(302, { location: `${gone}/x?signature=s3cret` }).end(),
    async (url) => {
      const { message } = await failure(() => httpFiles(url, quick).readAll("config.json"));
      assert.match(message, `${new URL(gone).host} refuses the connection`);
      assert.not.match(message, "s3cret");
    },
  );
});

test("parts that say they are not compressed are taken; an answer without content is no file", async () => {
  for (const coding of ["Identity", " identity ", ""]) {
    await withServer(
      (request, response) => {
        if (nameOf(request) === "generation_config.json") return void response.writeHead(204).end();
        serve(config, request, response, { headers: { "content-encoding": coding } });
      },
      async (url) => {
        const files = httpFiles(url, quick);
        assert.is(await files.size("config.json"), 2);
        await files.readInto("config.json", 0, new Uint8Array(2));
        assert.is(await files.readAll("generation_config.json"), null);
      },
    );
  }
});

test("a status that answers no such request is said", async () => {
  await withServer(
    (_, response) => response.writeHead(304).end(),
    async (url) => {
      const files = httpFiles(url, quick);
      const reads = [
        () => files.size("a"),
        () => files.readAll("a"),
        () => files.readInto("a", 0, new Uint8Array(1)),
      ];
      for (const read of reads) {
        assert.match((await failure(read)).message, "the server answered with status 304");
      }
    },
  );
});

test("redirects that lead nowhere end", async () => {
  for (const location of [undefined, "file:///etc/passwd", "data:,x", "http://"]) {
    await withServer(
      (_, response) => response.writeHead(302, location === undefined ? {} : { location }).end(),
      async (url) => {
        const error = await failure(() => httpFiles(url, quick).readAll("config.json"));
        assert.is(error.code, "CHECKPOINT_NOT_FOUND");
        assert.match(error.message, "redirects");
      },
    );
  }
  await withServer(
    (request, response) => response.writeHead(302, { location: request.url }).end(),
    async (url) =>
      assert.match((await failure(() => httpFiles(url, quick).size("a.bin"))).message, "more than 20 times"),
  );
});

/** As browsers answer a request that is not to follow redirects: nothing is seen of the answer. */
function browserFetch(seen: string[]): typeof fetch {
  return async (_, init) => {
    seen.push(String(init?.redirect));
    if (init?.redirect === "follow") return new Response("{}");
    const hidden = new Response(null);
    Object.defineProperties(hidden, { type: { value: "opaqueredirect" }, status: { value: 0 } });
    return hidden;
  };
}

test("a browser, which hides where a redirect leads, follows by itself with Authorization alone", async () => {
  const seen: string[] = [];
  const headers = { Authorization: "Bearer secret" };
  const files = httpFiles("https://host.test", { ...quick, headers, fetch: browserFetch(seen) });
  assert.ok(await files.readAll("config.json"));
  assert.ok(await files.readAll("config.json"));
  assert.equal(seen, ["manual", "follow", "follow"]);
  const others = httpFiles("https://host.test", { ...quick, headers: SECRETS, fetch: browserFetch([]) });
  const error = await failure(() => others.readAll("config.json"));
  assert.is(error.code, "CHECKPOINT_NOT_FOUND");
  assert.match(error.message, "cookie, x-api-key");
});

test("a name and password in the address are sent as Authorization, and shown nowhere", async () => {
  const sent: (string | undefined)[] = [];
  await withServer(
    (request, response) => {
      sent.push(request.headers.authorization);
      if (nameOf(request) === "config.json") return serve(config, request, response);
      response.writeHead(401).end();
    },
    async (url) => {
      for (const given of [
        url.replace("//", "//b%C3%B6b:s3cret%40@"),
        new URL(url.replace("//", "//bob:s3cret@")),
      ]) {
        const files = await openFiles(given);
        assert.ok(await files.readAll("config.json"));
        assert.is(files.location, url);
        const error = await failure(() => files.readAll("tokenizer.json"));
        assert.not.match(JSON.stringify([error.message, error.stack, String(error.cause)]), "s3cret");
      }
      const own = httpFiles(url.replace("//", "//bob:s3cret@"), {
        headers: { Authorization: "Bearer mine" },
      });
      await own.readAll("config.json");
    },
  );
  assert.equal(
    [...new Set(sent)],
    [`Basic ${Buffer.from("böb:s3cret@").toString("base64")}`, `Basic ${btoa("bob:s3cret")}`, "Bearer mine"],
  );
  for (const address of [
    "http://bob:s3cret@",
    "http://bob:s3#cret@host/",
    "http://bob:s3/cret@host:x/",
    "ftp://bob:s3cret@host/",
    "s3://bob:s3cret@host/",
    "s3://bucket/model?signature=s3cret",
    `ftp://bob:s3cret${"x".repeat(300)}@host/`,
    `http://bob:s3cret${"x".repeat(300)}@host:x/`,
  ]) {
    const error = await failure(() => openFiles(address));
    assert.not.match(JSON.stringify([error.message, error.stack, error.cause ?? null]), /s3.?cret|cret@/);
  }
});

test("headers that HTTP does not allow are refused without showing them", async () => {
  for (const headers of [
    { Authorization: "Bearer\nsecret" },
    { "a b": "secret" },
    { a: "séc\u0100ret" },
    null,
    5,
  ] as never[]) {
    const error = await failure(() => httpFiles("http://host.test", { headers }));
    assert.is(error.code, "OPTION_INVALID");
    assert.not.match(error.message, /s.c?.?ret/);
  }
  for (const checkpointTimeout of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, "1" as unknown as number]) {
    assert.is(
      (await failure(() => httpFiles("http://host.test", { checkpointTimeout }))).code,
      "OPTION_INVALID",
    );
  }
});

/** A read of each kind. */
const READS: Record<string, (files: CheckpointFiles, signal?: AbortSignal) => Promise<unknown>> = {
  size: (files, signal) => files.size("a.bin", signal),
  readAll: (files, signal) => files.readAll("config.json", signal),
  readInto: (files, signal) => files.readInto("a.bin", 0, new Uint8Array(100), signal),
};

/** Servers that leave a client waiting. */
const STALLS: Record<string, RequestListener> = {
  "before it answers": () => undefined,
  "after its headers": (request, response) => {
    const range = request.headers.range
      ? { "content-range": `bytes ${request.headers.range.slice(6)}/5000` }
      : {};
    response.writeHead(request.headers.range ? 206 : 200, range).flushHeaders();
  },
};

for (const [when, listener] of Object.entries(STALLS)) {
  for (const [kind, read] of Object.entries(READS)) {
    test(`a server that stalls ${when}: ${kind} ends by the signal, and by time`, () =>
      withServer(listener, async (url) => {
        const control = new AbortController();
        setTimeout(() => control.abort(), 20);
        assert.is((await failure(() => read(httpFiles(url, quick), control.signal))).code, "ABORTED");
        const late = await failure(() => read(httpFiles(url, { ...quick, checkpointTimeout: 30 })));
        assert.is(late.code, "TIMED_OUT");
        assert.match(late.message, "checkpointTimeout");
      }));
  }
}

test("a fetch that heeds no signal is left behind", async () => {
  const deaf = httpFiles("http://host.test", {
    ...quick,
    fetch: () => new Promise<Response>(() => undefined),
  });
  const control = new AbortController();
  setTimeout(() => control.abort(), 20);
  assert.is((await failure(() => deaf.size("a.bin", control.signal))).code, "ABORTED");
});

test("a body that comes slowly but comes is read", async () => {
  await withServer(
    (_, response) => {
      response.writeHead(200);
      let left = 6;
      const timer = setInterval(() => {
        left -= 1;
        if (left > 0) return response.write(" ");
        clearInterval(timer);
        return response.end("{}");
      }, 60);
    },
    async (url) => {
      const files = httpFiles(url, { ...quick, checkpointTimeout: 150 });
      assert.is((await files.readAll("config.json"))?.length, 7);
    },
  );
});

test("a body that trickles without end is given up after ten times as long", async () => {
  await withServer(
    (_, response) => {
      response.writeHead(200);
      const timer = setInterval(() => response.write(" "), 20);
      response.on("close", () => clearInterval(timer));
    },
    async (url) => {
      const files = httpFiles(url, { ...quick, checkpointTimeout: 50 });
      const error = await failure(() => files.readAll("config.json"));
      assert.is(error.code, "TIMED_OUT");
      assert.match(error.message, "not read after 500 ms, 10 times the option checkpointTimeout");
    },
  );
});

test("time does not run while this thread was busy with something else", async () => {
  await withServer(
    (_, response) => response.end("{}"),
    async (url) => {
      const read = httpFiles(url, { ...quick, checkpointTimeout: 50, retries: 0 }).readAll("config.json");
      await new Promise((resolve) => setTimeout(resolve, 1));
      const end = performance.now() + 200;
      while (performance.now() < end);
      assert.is((await read)?.length, 2);
    },
  );
});

test("an endless body, and one that unpacks to far more than it is, end at the limit of such a file", async () => {
  const zeros = gzipSync(new Uint8Array(80 << 20));
  const listeners: Record<string, RequestListener> = {
    endless: (_, response) => {
      response.writeHead(200);
      const piece = new Uint8Array(1 << 20);
      const more = () => {
        while (!response.destroyed && response.write(piece));
        response.once("drain", more);
      };
      more();
    },
    packed: (_, response) => response.writeHead(200, { "content-encoding": "gzip" }).end(zeros),
  };
  for (const listener of Object.values(listeners)) {
    await withServer(listener, async (url) => {
      const error = await failure(() => httpFiles(url, quick).readAll("config.json"));
      assert.is(error.code, "CHECKPOINT_INVALID");
      assert.match(error.message, "more than 64 MiB");
    });
  }
});

test("Retry-After is honoured, and a server that asks for too much patience is given up", async () => {
  const answers = (retryAfter: string): RequestListener => {
    let asked = 0;
    return (request, response) => {
      if (asked++ > 0) return serve(config, request, response);
      response.writeHead(429, { "retry-after": retryAfter }).end();
    };
  };
  for (const [value, least] of [
    ["1", 950],
    [new Date(Date.now() + 1000).toUTCString(), 0],
    ["soon", 0],
    ["-5", 0],
  ] as const) {
    const start = performance.now();
    await withServer(answers(value), (url) => httpFiles(url, quick).readAll("config.json"));
    assert.ok(performance.now() - start >= least, value);
  }
  await withServer(answers("3600"), async (url) => {
    const error = await failure(() => httpFiles(url, quick).readAll("config.json"));
    assert.match(error.message, "asks to wait 3600 s");
  });
  await withServer(answers("30"), async (url) => {
    const control = new AbortController();
    setTimeout(() => control.abort(), 30);
    assert.is(
      (await failure(() => httpFiles(url, quick).readAll("config.json", control.signal))).code,
      "ABORTED",
    );
  });
});

const PAGE = "<!-- cached -->\n<!DOCTYPE html>\n<html><body>Not found, or sign in</body></html>";

/** Ways in which servers say that a file is not there. */
const ABSENCES: Record<string, RequestListener> = {
  "404": (_, response) => response.writeHead(404).end(),
  "403": (_, response) => response.writeHead(403).end("<Error>AccessDenied</Error>"),
  "400": (_, response) => response.writeHead(400).end(),
  "a page": (_, response) => response.writeHead(200, { "content-type": "text/html" }).end(PAGE),
  "a page without a type": (_, response) => response.writeHead(200).end(` \n${PAGE}`),
  "a page in parts": (request, response) =>
    serve(new Map([[nameOf(request), PAGE.slice(PAGE.indexOf("<!D"))]]), request, response, {
      headers: { "content-type": "text/html; charset=utf-8" },
    }),
};

for (const [how, listener] of Object.entries(ABSENCES)) {
  test(`an optional file that is not there, answered with ${how}, is absent`, () =>
    withServer(listener, async (url) => {
      const files = httpFiles(url, quick);
      assert.is(await files.readAll("chat_template.jinja"), null);
      assert.is(await files.readAll("generation_config.json"), null);
      assert.is(await files.size("model.safetensors"), null);
    }));
}

test("a page in place of a file that must be there says so", async () => {
  await withServer(ABSENCES["a page"] as RequestListener, async (url) => {
    for (const name of ["config.json", "tokenizer.json", "adapter_config.json"]) {
      const error = await failure(() => httpFiles(url, quick).readAll(name));
      assert.is(error.code, "CHECKPOINT_NOT_FOUND");
      assert.match(error.message, `${name} is a web page`);
    }
  });
});

test("other refusals are no absence", async () => {
  for (const status of [401, 405, 451]) {
    await withServer(
      (_, response) => response.writeHead(status).end(),
      async (url) => {
        for (const read of Object.values(READS)) {
          assert.match((await failure(() => read(httpFiles(url, quick)))).message, `status ${status}`);
        }
      },
    );
  }
});

test.run();
