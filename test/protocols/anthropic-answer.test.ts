/** Answers in Anthropic's shape: at once and as events, which say the same. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { anthropicError } from "../../src/protocols/anthropic/errors.ts";
import { type AnthropicEvent, anthropicEvents } from "../../src/protocols/anthropic/write-events.ts";
import { anthropicMessage } from "../../src/protocols/anthropic/write-message.ts";
import { problemOf, RequestError } from "../../src/protocols/errors.ts";
import { all, call, resultOf, runOf, text, thought } from "./run-events.ts";

const FRAME = { id: "msg_1", model: "m", oneCall: false, hidesThinking: false };
const PARTS = [thought("so"), text(""), text("It is "), text("2."), call(0, "", "add"), call(0, '{"a":1}')];
const CALL = { id: "call_0", name: "add", arguments: '{"a":1}' };
const RESULT = resultOf({ reasoning: "so", content: "It is 2.", toolCalls: [CALL] });

test("an answer at once", () => {
  const message = anthropicMessage(RESULT, FRAME);
  assert.equal(message.content, [
    { type: "thinking", thinking: "so", signature: "" },
    { type: "text", text: "It is 2.", citations: null },
    { type: "tool_use", id: "call_0", name: "add", input: { a: 1 } },
  ]);
  assert.is(message.stop_reason, "tool_use");
  assert.equal(message.usage, {
    input_tokens: 7,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: 3,
    output_tokens: 4,
  });
});

test("the same as events", async () => {
  const events = await all(anthropicEvents(runOf(PARTS, RESULT), FRAME));
  assert.equal(
    events.map((event) => event.type),
    [
      "message_start",
      ...["content_block_start", "content_block_delta", "content_block_stop"],
      ...["content_block_start", "content_block_delta", "content_block_delta", "content_block_stop"],
      ...["content_block_start", "content_block_delta", "content_block_stop"],
      "message_delta",
      "message_stop",
    ],
  );
  const { content, stop_reason, usage } = anthropicMessage(RESULT, FRAME);
  assert.equal(joined(events), content);
  const end = events.at(-2);
  assert.ok(end?.type === "message_delta");
  assert.equal(end.delta, { stop_reason, stop_sequence: null });
  assert.equal(end.usage, usage);
  const [start] = events;
  assert.ok(start?.type === "message_start");
  assert.equal(start.message.usage, { ...usage, output_tokens: 0 });
});

test("what ends an answer", () => {
  const stop = (more: Parameters<typeof resultOf>[0]) => {
    const { stop_reason, stop_sequence } = anthropicMessage(resultOf(more), FRAME);
    return [stop_reason, stop_sequence];
  };
  assert.equal(stop({}), ["end_turn", null]);
  assert.equal(stop({ matchedStop: "END" }), ["stop_sequence", "END"]);
  assert.equal(stop({ finishReason: "length", toolCalls: [CALL] }), ["max_tokens", null]);
});

test("a call that was cut off is not told at once, since it has no input", () => {
  const cut = resultOf({ finishReason: "length", toolCalls: [{ ...CALL, arguments: '{"a' }] });
  assert.equal(anthropicMessage(cut, FRAME).content, []);
});

test("one call where the request wants no more, and no thinking where it wants none", async () => {
  const frame = { ...FRAME, oneCall: true, hidesThinking: true };
  const two = { ...RESULT, toolCalls: [CALL, { ...CALL, id: "call_1" }] };
  const events = await all(
    anthropicEvents(runOf([thought("so"), ...PARTS.slice(4), call(1, "{}", "add")], two), frame),
  );
  assert.equal(joined(events), [{ type: "tool_use", id: "call_0", name: "add", input: { a: 1 } }]);
  assert.is(anthropicMessage(two, frame).content.length, 2);
});

test("a stream that is left ends its run", async () => {
  let isOver = false;
  const run = runOf(PARTS, RESULT);
  const leaves = run.return.bind(run);
  run.return = (value) => {
    isOver = true;
    return leaves(value);
  };
  for await (const event of anthropicEvents(run, FRAME)) if (event.type === "content_block_delta") break;
  assert.ok(isOver);
});

test("errors", () => {
  assert.equal(anthropicError(problemOf(new RequestError("overloaded", "Wait.")), "req_1"), {
    type: "error",
    error: { type: "rate_limit_error", message: "Wait." },
    request_id: "req_1",
  });
});

/** The blocks that a client puts together of events. */
function joined(events: readonly AnthropicEvent[]): unknown[] {
  const blocks: Record<string, unknown>[] = [];
  let json = "";
  for (const event of events) {
    if (event.type === "content_block_start") {
      blocks.push({ ...event.content_block });
      json = "";
    } else if (event.type === "content_block_delta") {
      const block = blocks[event.index] as Record<string, unknown>;
      const { delta } = event;
      if (delta.type === "text_delta") block.text += delta.text;
      else if (delta.type === "thinking_delta") block.thinking += delta.thinking;
      else {
        json += delta.partial_json;
        block.input = JSON.parse(json);
      }
    }
  }
  return blocks;
}

test.run();
