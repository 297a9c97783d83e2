/**
 * `node bench/load/run.mjs`: how long clients wait for `glimt serve`, measured by autocannon over streamed chats with a picture.
 * The server is one of this machine, on 127.0.0.1; `npm run build` makes what is measured.
 */
import { execFileSync, spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const folder = dirname(fileURLToPath(import.meta.url));
const root = join(folder, "../..");
const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    help: { type: "boolean" },
    install: { type: "boolean" },
    model: { type: "string", default: join(root, "examples/demo/checkpoint") },
    pictures: { type: "string", default: join(root, "examples/demo/pictures") },
    prompt: { type: "string", default: "Text Recognition:" },
    clients: { type: "string", default: "1,4,16" },
    requests: { type: "string", default: "48" },
    tokens: { type: "string", default: "64" },
  },
});

if (flags.help) {
  console.log(`node bench/load/run.mjs [--clients 1,4,16] [--requests 48] [--model DIR] [--pictures DIR] [--prompt TEXT] [--tokens 64] [-- FLAGS]
  --install   installs autocannon beside this file
  FLAGS       of glimt serve; default: --no-prefix-cache --encoder-cache 0MiB, so that each request is computed whole`);
  process.exit();
}
if (flags.install) {
  execFileSync("npm", ["install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"], {
    cwd: folder,
    stdio: "inherit",
    shell: process.platform === "win32",
  });
  process.exit();
}
if (!existsSync(join(folder, "node_modules/autocannon"))) {
  console.error("autocannon is not there: node bench/load/run.mjs --install");
  process.exit(1);
}
const { default: autocannon } = await import("autocannon");

const { url, end } = await serve(
  positionals.length > 0 ? positionals : ["--no-prefix-cache", "--encoder-cache", "0MiB"],
);
try {
  const bodies = readdirSync(flags.pictures)
    .filter((name) => name.endsWith(".png"))
    .sort()
    .map((name) => chatAbout(readFileSync(join(flags.pictures, name))));
  // What is compiled and taken once is no client's wait.
  await measure(url, bodies, 1, bodies.length);
  console.log("| clients | first token p50 | p95 | p99 | whole answer p50 | p95 | p99 | answers/s |");
  console.log("|---|---|---|---|---|---|---|---|");
  for (const clients of flags.clients.split(",").map(Number)) {
    const { first, whole, perSecond } = await measure(url, bodies, clients, Number(flags.requests));
    const cells = [...percentiles(first), ...percentiles(whole)].map((ms) => `${Math.round(ms)} ms`);
    console.log(`| ${clients} | ${cells.join(" | ")} | ${perSecond.toFixed(2)} |`);
  }
} finally {
  await end();
}

function chatAbout(picture) {
  return JSON.stringify({
    messages: [
      {
        role: "user",
        content: [
          { type: "image_url", image_url: { url: `data:image/png;base64,${picture.toString("base64")}` } },
          { type: "text", text: flags.prompt },
        ],
      },
    ],
    stream: true,
    temperature: 0,
    max_tokens: Number(flags.tokens),
  });
}

/** Each client asks again when it was answered. The server sends nothing before the first token. */
async function measure(address, bodies, clients, requests) {
  const [first, whole] = [[], []];
  let client = 0;
  const result = await autocannon({
    url: `${address}/v1/chat/completions`,
    method: "POST",
    headers: { "content-type": "application/json" },
    connections: clients,
    amount: Math.max(requests, clients),
    timeout: 120,
    body: bodies[0],
    setupClient(connection) {
      // Others at a time ask about other pictures.
      const start = client++ % bodies.length;
      connection.setRequests([...bodies.slice(start), ...bodies.slice(0, start)].map((body) => ({ body })));
      let asked = 0;
      let isAnswered = false;
      connection.on("request", () => {
        asked = performance.now();
        isAnswered = false;
      });
      connection.on("body", () => {
        if (!isAnswered) first.push(performance.now() - asked);
        isAnswered = true;
      });
      connection.on("response", () => whole.push(performance.now() - asked));
    },
  });
  const { errors, timeouts, non2xx } = result;
  if (errors + timeouts + non2xx > 0) {
    throw new Error(`${errors} errors, ${timeouts} late, ${non2xx} refused: these are no figures.`);
  }
  return { first, whole, perSecond: whole.length / result.duration };
}

/** Nearest rank. */
function percentiles(values) {
  const sorted = values.toSorted((a, b) => a - b);
  return [0.5, 0.95, 0.99].map((share) => sorted[Math.ceil(share * sorted.length) - 1]);
}

async function serve(more) {
  const args = ["dist/cli.js", "serve", flags.model, "--port", "0", "--log", "errors", ...more];
  const child = spawn(process.execPath, args, { cwd: root, stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  for await (const line of createInterface({ input: child.stdout })) {
    const found = /http:\/\/\S+(?=\/v1)/.exec(line);
    if (!found) continue;
    const end = async () => {
      child.kill("SIGTERM");
      await ended;
    };
    return { url: found[0], end };
  }
  throw new Error("The server did not start.");
}
