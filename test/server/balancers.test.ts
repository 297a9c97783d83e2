/** The balancers' configurations of docs/scaling.md, where the balancers are installed. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";

const DOCS = readFileSync("docs/scaling.md", "utf8");
const isInstalled = (program: string) => spawnSync(program, ["-v"]).status === 0;

interface Balancer {
  readonly name: "haproxy" | "nginx";
  readonly start: (config: string, folder: string) => ChildProcess;
}

const BALANCERS: readonly Balancer[] = [
  {
    name: "haproxy",
    start(config, folder) {
      writeFileSync(join(folder, "haproxy.cfg"), config);
      return spawn("haproxy", ["-db", "-f", join(folder, "haproxy.cfg")], { stdio: "ignore" });
    },
  },
  {
    name: "nginx",
    start(config, folder) {
      const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
        (kind) => `${kind}_temp_path ${join(folder, kind)};`,
      );
      const local = config.replace("http {", `http { access_log off; ${temporary.join(" ")}`);
      writeFileSync(join(folder, "nginx.conf"), local);
      const user = process.getuid?.() === 0 ? "user root; " : "";
      const main = `${user}daemon off; pid ${join(folder, "pid")};`;
      const log = join(folder, "log");
      return spawn("nginx", ["-p", folder, "-c", "nginx.conf", "-e", log, "-g", main], { stdio: "ignore" });
    },
  },
];

test("the page has a configuration for each", () => {
  for (const { name } of BALANCERS) assert.ok(DOCS.includes(`\`\`\`${name}\n`), name);
});

for (const { name, start } of BALANCERS) {
  if (!isInstalled(name)) {
    console.log(`skipped: ${name} is not installed`);
    continue;
  }
  test(`${name}: what begins alike goes to one server, streams are passed on, and a lost server is left out`, async () => {
    const servers = [await upstream("one"), await upstream("two")] as const;
    const folder = mkdtempSync(join(tmpdir(), "glimt-balancer-"));
    const port = await freePort();
    const ports: Readonly<Record<string, number>> = {
      8080: port,
      8001: servers[0].port,
      8002: servers[1].port,
    };
    const config = (new RegExp(`\`\`\`${name}\\n([\\s\\S]*?)\`\`\``).exec(DOCS)?.[1] ?? "").replace(
      /127\.0\.0\.1:(80\d\d)/g,
      (_, given: string) => `127.0.0.1:${ports[given]}`,
    );
    const balancer = start(config, folder);
    const ended = new Promise((resolve) => balancer.once("exit", resolve));
    const ask = async (body: string) => {
      const response = await fetch(`http://127.0.0.1:${port}/v1/chat/completions`, { method: "POST", body });
      return { status: response.status, text: await response.text() };
    };
    try {
      await listening(port, balancer);
      const firsts = new Set<string>();
      for (let picture = 0; picture < 12; picture++) {
        const start = `${picture}`.repeat(4096);
        const { text: first } = await ask(`${start} first question`);
        firsts.add(first);
        assert.is((await ask(`${start} another`)).text, first);
        // Longer than a socket's buffer takes at once.
        assert.is((await ask(`${start} and a long one ${"x".repeat(300_000)}`)).text, first);
      }
      assert.equal([...firsts].sort(), ["one", "two"]);

      const stream = await fetch(`http://127.0.0.1:${port}/stream`, { method: "POST", body: "?" });
      const reader = (stream.body as ReadableStream<Uint8Array>).getReader();
      // The upstream ends the answer when its first piece has come here.
      assert.is(new TextDecoder().decode((await reader.read()).value), "first");
      for (const { release } of servers) release();
      while (!(await reader.read()).done);

      await servers[1].close();
      for (let picture = 0; picture < 12; picture++) {
        assert.is((await ask(`${picture}`.repeat(4096))).text, "one");
      }
    } finally {
      balancer.kill("SIGTERM");
      await ended;
      await Promise.all(servers.map(({ close }) => close()));
      rmSync(folder, { recursive: true, force: true });
    }
  });
}

async function upstream(name: string) {
  let release = () => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const server = createServer(async (request, response) => {
    for await (const _ of request);
    if (request.url === "/stream") {
      response.write("first");
      await released;
    }
    response.end(name);
  });
  const port = await listenOn(server);
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { port, close, release };
}

async function freePort(): Promise<number> {
  const server = createServer();
  const port = await listenOn(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function listenOn(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

/** Resolves when somebody answers there; fails when the balancer ends before. */
async function listening(port: number, balancer: ChildProcess): Promise<void> {
  for (;;) {
    assert.is(balancer.exitCode, null, "the balancer does not take the configuration");
    const response = await fetch(`http://127.0.0.1:${port}/health`).catch(() => null);
    if (response?.status === 200) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test.run();
