/** What the server answers beside OpenAI's API: paths, statuses, shapes of errors, figures. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { GlimtError, type Model } from "../../src/index.ts";
import { createServer, type GlimtServer } from "../../src/server/server.ts";
import { loadDemo, pictureUrl, post } from "./demo.ts";

let model: Model;
let server: GlimtServer;
test.before(async () => {
  model = await loadDemo();
  server = createServer(model, { name: "demo" });
});
test.after(() => model.dispose());

const PICTURE = pictureUrl().replace(/^[^,]*,/, "");
const ask = async (path: string, body: object, asked = server) => {
  const response = await asked.fetch(post(path, body));
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, body: parsed(text) };
};
const get = async (path: string) => {
  const response = await server.fetch(new Request(`http://localhost${path}`));
  return { status: response.status, headers: response.headers, text: await response.text() };
};

test("GLM-OCR's client in its ollama_generate mode is answered", async () => {
  // What it asks first, to see whether anybody answers.
  const hello = { model: "demo:latest", prompt: "hello", stream: false, options: { num_predict: 10 } };
  assert.is((await ask("/api/generate", hello)).status, 200);
  const { status, body } = await ask("/api/generate", {
    model: "demo:latest",
    prompt: "Text Recognition:",
    stream: false,
    images: [PICTURE],
    options: { num_predict: 100, temperature: 0, top_p: 0.00001, top_k: 1, repeat_penalty: 1.1 },
  });
  assert.is(status, 200);
  assert.is(body.response, "Hello world");
  assert.is(body.done, true);
  assert.ok((body.eval_duration as number) > 0);
});

test("a stream of Ollama's says that its limit was reached", async () => {
  const { text } = await ask("/api/chat", {
    model: "demo",
    messages: [{ role: "user", content: "Hi" }],
    options: { num_predict: 2 },
  });
  const lines = text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  assert.is(lines.at(-1).done, true);
  assert.is(lines.at(-1).done_reason, "length");
});

test("Ollama's clients load a model by asking nothing", async () => {
  assert.is(
    (await ask("/api/chat", { model: "demo", messages: [], stream: false })).body.done_reason,
    "load",
  );
  assert.match((await ask("/api/generate", { model: "demo" })).text, /"done_reason":"load"/);
});

test("a role that nobody knows is refused in each protocol; OpenAI's developer is the system", async () => {
  for (const [path, more] of [
    ["/v1/chat/completions", {}],
    ["/v1/messages", { max_tokens: 1 }],
    ["/api/chat", { stream: false }],
  ] as const) {
    const messages = [
      { role: "user", content: "?" },
      { role: "asistant", content: "so" },
    ];
    const { status, text } = await ask(path, { model: "demo", messages, ...more });
    assert.is(status, 400, `${path}: ${text}`);
    assert.match(text, /messages\[1\]\.role/);
    assert.match(text, /asistant/);
  }
  const input = [{ role: "asistant", content: "so" }];
  assert.is((await ask("/v1/responses", { model: "demo", input })).status, 400);
  const promptOf = async (role: string) => {
    const messages = [
      { role, content: "Be brief." },
      { role: "user", content: "?" },
    ];
    const { status, body, text } = await ask("/v1/chat/completions", {
      model: "demo",
      messages,
      max_tokens: 1,
    });
    assert.is(status, 200, text);
    return (body.usage as { prompt_tokens: number }).prompt_tokens;
  };
  assert.is(await promptOf("developer"), await promptOf("system"));
});

test("errors have the shape of the protocol", async () => {
  const anthropic = await ask("/v1/messages", {
    model: "nobody",
    max_tokens: 1,
    messages: [{ role: "user", content: "?" }],
  });
  assert.is(anthropic.status, 404);
  assert.is((anthropic.body.error as { type: string }).type, "not_found_error");
  assert.is(anthropic.headers.get("request-id"), anthropic.body.request_id);
  const ollama = await ask("/api/chat", { model: "nobody", messages: [{ role: "user", content: "?" }] });
  assert.is(ollama.status, 404);
  assert.match(String(ollama.body.error), /nobody/);
  const closed = createServer(model, { apiKeys: ["k"] });
  const refused = await ask("/v1/messages", {}, closed);
  assert.is(refused.status, 401);
  assert.is((refused.body.error as { type: string }).type, "authentication_error");
  assert.is(refused.headers.get("request-id"), refused.body.request_id);
  await closed.close();
  const late = await ask("/v1/messages", {}, closed);
  assert.is(late.status, 503);
  assert.is(late.headers.get("request-id"), late.body.request_id);
});

test("a value out of range is said of the request's field", async () => {
  const messages = [{ role: "user", content: "?" }];
  for (const [fields, param, message] of [
    [{ top_p: 7 }, "top_p", "top_p is 7, expected above 0 and at most 1."],
    [{ temperature: -5 }, "temperature", /^temperature is -5/],
    [{ thinking_token_budget: -2 }, "thinking_token_budget", /^thinking_token_budget is -2/],
    [{ repetition_penalty: 0 }, "repetition_penalty", /^repetition_penalty is 0/],
    [{ stop_token_ids: [99999] }, "stop_token_ids", /^stop_token_ids /],
    [{ min_tokens: 50, max_tokens: 5 }, "min_tokens", "min_tokens is 50, more than max_tokens, which is 5."],
  ] as const) {
    const { status, body } = await ask("/v1/chat/completions", { model: "demo", messages, ...fields });
    const error = body.error as { message: string; param: string; code: string };
    assert.equal([status, error.param, error.code], [400, param, "option_invalid"]);
    if (typeof message === "string") assert.is(error.message, message);
    else assert.match(error.message, message);
  }
  for (const [path, limit] of [
    ["/v1/chat/completions", "max_tokens"],
    ["/v1/chat/completions", "max_completion_tokens"],
    ["/v1/completions", "max_tokens"],
    ["/v1/responses", "max_output_tokens"],
  ] as const) {
    const asked = { chat: { messages }, completions: { prompt: "?" }, responses: { input: "?" } };
    const fields = asked[path.split("/")[2] as keyof typeof asked];
    const { body } = await ask(path, { model: "demo", ...fields, [limit]: -1 });
    const { param, message } = body.error as { param: string; message: string };
    assert.equal([param, message], [limit, `${limit} is -1, expected a whole number from 1.`]);
  }
  const anthropic = await ask("/v1/messages", { model: "demo", max_tokens: 9, top_p: 7, messages });
  assert.match((anthropic.body.error as { message: string }).message, /^top_p is 7/);
  const ollama = await ask("/api/chat", { model: "demo", messages, options: { repeat_penalty: 0 } });
  assert.match(String(ollama.body.error), /^repeat_penalty is 0/);
});

test("what fails within a stream ends it, in the shape of the protocol", async () => {
  const failing = createServer(failingBehind(3), { name: "demo" });
  const messages = [{ role: "user", content: "?" }];
  const lines = (await ask("/api/chat", { model: "demo", messages }, failing)).text.trim().split("\n");
  assert.equal(JSON.parse(lines.at(-1) as string), { error: "The device that runs the model failed." });
  const asked = { model: "demo", max_tokens: 9, messages, stream: true };
  const { text, status } = await ask("/v1/messages", asked, failing);
  assert.is(status, 200);
  const [event, data] = text.trim().split("\n\n").at(-1)?.split("\n") ?? [];
  assert.is(event, "event: error");
  const { type, error } = JSON.parse((data as string).slice("data: ".length));
  assert.equal([type, error.type], ["error", "overloaded_error"]);
  const whole = await ask("/v1/messages", { ...asked, stream: false }, failing);
  assert.is(whole.status, 503);
});

test("texts and conversations as tokens, and back", async () => {
  const { body } = await ask("/tokenize", {
    prompt: "Hi<|user|>",
    add_special_tokens: false,
    return_token_strs: true,
  });
  assert.equal(body.token_strs, ["H", "i", "<|user|>"]);
  assert.is(body.count, 3);
  assert.is((await ask("/detokenize", { tokens: body.tokens })).body.prompt, "Hi<|user|>");
  const messages = [
    {
      role: "user",
      content: [
        { type: "image_url", image_url: { url: pictureUrl() } },
        { type: "text", text: "?" },
      ],
    },
  ];
  const chat = await ask("/tokenize", { messages });
  const { inputIds } = await model.process(messages as never);
  assert.equal(chat.body.tokens, inputIds);
  const counted = await ask("/v1/messages/count_tokens", {
    model: "demo",
    messages: [
      {
        role: "user",
        content: [
          { type: "image", source: { type: "base64", media_type: "image/png", data: PICTURE } },
          { type: "text", text: "?" },
        ],
      },
    ],
  });
  assert.equal(counted.body, { input_tokens: inputIds.length });
  assert.is((await ask("/detokenize", { tokens: [1e9] })).status, 400);
  assert.is((await ask("/tokenize", {})).status, 400);
});

test("what is served, as Ollama lists it", async () => {
  const { models } = JSON.parse((await get("/api/tags")).text);
  assert.is(models[0].name, "demo");
  assert.is(JSON.parse((await get("/api/ps")).text).models.length, 1);
  assert.match(JSON.parse((await get("/api/version")).text).version, /^\d+\.\d+/);
  const { body } = await ask("/api/show", { model: "demo" });
  assert.equal(body.capabilities, ["completion", "vision", "tools", "thinking"]);
});

test("what could not be found out of the model is asked for again", async () => {
  let isFailing = true;
  const process: Model["process"] = async (...given) => {
    if (isFailing) throw new GlimtError("OUT_OF_MEMORY", "No memory.");
    return model.process(...given);
  };
  const asked = createServer(modelWith({ process }), { name: "demo" });
  assert.is((await ask("/api/show", { model: "demo" }, asked)).status, 503);
  isFailing = false;
  assert.is((await ask("/api/show", { model: "demo" }, asked)).status, 200);
});

test("how busy it is, and which version", async () => {
  assert.equal(JSON.parse((await get("/load")).text), { server_load: 0 });
  assert.match(JSON.parse((await get("/version")).text).version, /^\d+\.\d+/);
});

test("requests load no adapters where the host says nothing of it", async () => {
  assert.is((await ask("/v1/load_lora_adapter", { lora_name: "a", lora_path: "/tmp" })).status, 404);
});

/** A model whose device fails behind some tokens of an answer. */
function failingBehind(tokens: number): Model {
  const generate: Model["generate"] = (...given) => {
    const run = model.generate(...given);
    let count = 0;
    const next = run.next.bind(run);
    run.next = () => {
      count += 1;
      return count > tokens ? Promise.reject(new GlimtError("DEVICE_FAILED", "secret")) : next();
    };
    return run;
  };
  return modelWith({ generate });
}

function modelWith(own: Partial<Model>): Model {
  return new Proxy(model, {
    get(target, name) {
      if (Object.hasOwn(own, name)) return Reflect.get(own, name);
      const value = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

function parsed(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

test.run();
