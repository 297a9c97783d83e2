/** Whatever a server answers: the bytes that were asked for, or an error with a code. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { httpFiles } from "../../src/checkpoint/http.ts";
import { GlimtError } from "../../src/errors.ts";
import { fc } from "../property.ts";

const TOTAL = 300;
/** Every byte tells its place. */
const bytes = Uint8Array.from({ length: TOTAL }, (_, index) => index % 251);

const shift = fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.integer({ min: -120, max: 120 }));
const answers = fc.array(
  fc.record({
    status: fc.oneof(
      { weight: 6, arbitrary: fc.constant(206) },
      fc.constantFrom(200, 204, 302, 304, 403, 404, 412, 416, 503),
    ),
    said: fc.record({ first: shift, last: shift, total: shift, hidden: fc.boolean() }),
    sent: fc.record({ first: shift, last: shift, pieces: fc.integer({ min: 1, max: 5 }) }),
    headers: fc.constantFrom<Record<string, string>>(
      {},
      {},
      {},
      { etag: '"a"' },
      { etag: '"b"' },
      { etag: 'W/"a"' },
      { "content-encoding": "gzip" },
      { "content-type": "text/html" },
      { "content-range": "bytes */0" },
    ),
  }),
  { minLength: 1, maxLength: 6 },
);

/** Whether an answer is to be told from a right one: it says what it is, or has as many bytes as were asked for. */
const isHonest = ({
  said,
  sent,
}: {
  said: { hidden: boolean; first: number; last: number };
  sent: { first: number };
}) => (said.hidden ? sent.first === 0 : said.first === sent.first);

test("a read gives the right bytes or an error, and ends", async () => {
  let right = 0;
  await fc.assert(
    fc.asyncProperty(
      answers,
      fc.nat(TOTAL - 1),
      fc.integer({ min: 1, max: 80 }),
      async (list, offset, length) => {
        // Bytes of another place that are said to be the right ones can not be told by anybody.
        fc.pre(list.every(isHonest));
        let asked = 0;
        const send: typeof fetch = async (_, init) => {
          const found = /bytes=(\d+)-(\d+)/.exec(new Headers(init?.headers).get("range") ?? "");
          const [first, last] = [Number(found?.[1]), Number(found?.[2])];
          const { status, said, sent, headers } = list[asked++ % list.length] as (typeof list)[number];
          const range = `bytes ${first + said.first}-${last + said.last}/${TOTAL + said.total}`;
          const body = bytes.slice(Math.max(0, first + sent.first), Math.max(0, last + sent.last + 1));
          const bodiless = [204, 304].includes(status);
          const response = new Response(bodiless ? null : (inPieces(body, sent.pieces) as BodyInit), {
            status,
            headers: { ...(said.hidden ? {} : { "content-range": range }), ...headers },
          });
          // Where a page of another origin is not shown the header.
          return Object.defineProperty(response, "type", { value: said.hidden ? "cors" : "basic" });
        };
        const files = httpFiles("https://host.test/", { fetch: send, retries: 2, retryDelay: 0 });
        const into = new Uint8Array(length + 20).fill(255);
        try {
          await files.readInto("a.bin", offset, into.subarray(10, 10 + length));
          assert.equal(into.subarray(10, 10 + length), bytes.slice(offset, offset + length));
          right++;
        } catch (error) {
          assert.instance(error, GlimtError);
        }
        assert.ok([...into.subarray(0, 10), ...into.subarray(10 + length)].every((byte) => byte === 255));
      },
    ),
    { numRuns: 400 },
  );
  assert.ok(right > 40, `${right} reads were answered`);
});

function inPieces(body: Uint8Array, count: number): ReadableStream {
  const size = Math.max(1, Math.ceil(body.length / count));
  return new ReadableStream({
    start(controller) {
      for (let at = 0; at < body.length; at += size) controller.enqueue(body.slice(at, at + size));
      controller.close();
    },
  });
}

test.run();
