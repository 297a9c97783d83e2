/** Jobs of documents, without Redis: what they hold, what is made of them, how many pages a worker takes. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { nextConcurrency } from "../../src/batch/jobs/back-pressure.ts";
import { documentFlow, documentResult, failureText } from "../../src/batch/jobs/documents.ts";
import { GlimtError } from "../../src/errors.ts";
import { RequestError } from "../../src/protocols/errors.ts";

const flowOf = (document: object) => documentFlow("q", document as never, (text) => String(text.length));

test("a document is a flow with a child for each page, known by its id", () => {
  const { data, opts, children } = flowOf({
    id: "a:1/2",
    pages: [{ body: { n: 1 } }, { body: { n: 2 } }],
    attempts: 2,
  });
  assert.is(data.pages, 2);
  assert.is(opts.jobId, "document-a%3A1%2F2");
  assert.equal(
    children.map(({ data, opts }) => [data, opts.jobId, opts.attempts]),
    [
      [{ body: { n: 1 } }, "document-a%3A1%2F2.page-1", 2],
      [{ body: { n: 2 } }, "document-a%3A1%2F2.page-2", 2],
    ],
  );
});

const WRONG: readonly [document: object, code: string, message: RegExp][] = [
  [{ id: "", pages: [{}] }, "INPUT_INVALID", /id is ""/],
  [{ id: 3, pages: [{}] }, "INPUT_INVALID", /id is 3/],
  [{ id: "a", pages: [] }, "INPUT_INVALID", /pages is a list of 0/],
  [{ id: "a", pages: {} }, "INPUT_INVALID", /pages is an object/],
  [{ id: "a", pages: [3] }, "INPUT_INVALID", /pages\[0\] is 3/],
  [{ id: "a", pages: [{ body: () => 1 }] }, "INPUT_INVALID", /pages\[0\]\.body is a function/],
  [{ id: "a", pages: [{ body: "x".repeat(300_000) }] }, "INPUT_INVALID", /queues hold no pixels/],
  [{ id: "a", pages: [{}], attempts: 0 }, "OPTION_INVALID", /attempts is 0/],
  [{ id: "a", pages: [{}], keep: 0.5 }, "OPTION_INVALID", /keep is 0.5/],
];
for (const [document, code, message] of WRONG) {
  test(`refused: ${message}`, () => {
    try {
      flowOf(document);
    } catch (error) {
      assert.is((error as GlimtError).code, code);
      assert.match((error as GlimtError).message, message);
      return;
    }
    assert.unreachable();
  });
}

test("a result has all pages in their order, whatever became of them", () => {
  const answers = { "bull:q:document-a.page-2": { text: "b" } };
  const failures = {
    "bull:q:document-a.page-1": failureText(new GlimtError("IMAGE_INVALID", "No: picture.")),
    "bull:q:document-a.page-3": "job stalled more than allowable limit",
    "bull:q:document-a.page-4": failureText(new RequestError("notFound", "No such url.")),
    "bull:q:document-a.page-5": failureText(new TypeError("x is undefined")),
  };
  assert.equal(documentResult({ pages: 6, hash: "" }, answers, failures), {
    pages: [
      { page: 1, error: { code: "IMAGE_INVALID", message: "No: picture." } },
      { page: 2, answer: { text: "b" } },
      { page: 3, error: { code: "STALLED", message: "job stalled more than allowable limit" } },
      { page: 4, error: { code: "INPUT_INVALID", message: "No such url." } },
      { page: 5, error: { code: "UNEXPECTED", message: "x is undefined" } },
      { page: 6, error: { code: "LOST", message: "The page's job was removed." } },
    ],
  });
});

test("a worker takes more pages while none waits in its model, and no more than run where some do", () => {
  const next = (running: number, waiting: number, now: number) =>
    nextConcurrency({ running, waiting, maxSequences: 8 }, now);
  assert.is(next(3, 0, 3), 4);
  assert.is(next(8, 0, 8), 8);
  assert.is(next(3, 2, 5), 3);
  assert.is(next(0, 2, 2), 1);
  assert.is(next(6, 1, 2), 2);
});

test.run();
