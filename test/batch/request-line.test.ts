/** Lines of a batch file: what is a request, and what is told of one that is none. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { errorLine, readLine, responseLine } from "../../src/batch/request-line.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const GOOD = { custom_id: "a", method: "POST", url: "/v1/chat/completions", body: { messages: [] } };

test("a request", () => {
  assert.equal(readLine(bytes(JSON.stringify(GOOD))), {
    customId: "a",
    request: { customId: "a", url: "/v1/chat/completions", body: { messages: [] } },
  });
  // A line of a file that Windows wrote.
  assert.ok("request" in readLine(bytes(`${JSON.stringify(GOOD)}\r`)));
});

const WRONG: readonly (readonly [
  line: Uint8Array | null,
  customId: string | null,
  code: string,
  message: RegExp,
])[] = [
  [null, null, "line_too_long", /longer/],
  [bytes("{"), null, "invalid_json", /no JSON/],
  [bytes("\0\0"), null, "invalid_json", /no JSON/],
  [Uint8Array.of(0x22, 0xff, 0x22), null, "invalid_json", /UTF-8/],
  [bytes("3"), null, "invalid_line", /it is 3, expected an object/],
  [bytes("[1]"), null, "invalid_line", /a list of 1/],
  [bytes("null"), null, "invalid_line", /null/],
  ...(
    [
      [{ custom_id: undefined }, null, /custom_id is undefined/],
      [{ custom_id: "" }, null, /custom_id is ""/],
      [{ custom_id: 7 }, null, /custom_id is 7/],
      [{ custom_id: "x".repeat(513) }, null, /custom_id/],
      [{ method: "GET" }, "a", /method is "GET", expected "POST"/],
      [{ url: 3 }, "a", /url is 3/],
      [{ body: [] }, "a", /body is a list of 0/],
      [{ body: undefined }, "a", /body is undefined/],
      [{ temperature: 1 }, "a", /field "temperature"/],
    ] as const
  ).map(
    ([change, customId, message]) =>
      [bytes(JSON.stringify({ ...GOOD, ...change })), customId, "invalid_line", message] as const,
  ),
];

for (const [line, customId, code, message] of WRONG) {
  test(`no request: ${message}`, () => {
    const read = readLine(line);
    assert.ok("error" in read);
    assert.equal([read.customId, read.error.code], [customId, code]);
    assert.match(read.error.message, message);
  });
}

test("answers are lines of OpenAI's form", () => {
  assert.equal(JSON.parse(responseLine("batch_req_1_ab", "a", { status: 200, body: { id: "x" } })), {
    id: "batch_req_1_ab",
    custom_id: "a",
    response: { status_code: 200, request_id: "batch_req_1_ab", body: { id: "x" } },
    error: null,
  });
  const error = { code: "invalid_json", message: "No." } as const;
  assert.equal(JSON.parse(errorLine("i", null, error)), { id: "i", custom_id: null, response: null, error });
});

test.run();
