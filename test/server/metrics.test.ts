/** What /metrics tells: names, sums, buckets, and what requests leave there. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { RequestError } from "../../src/protocols/errors.ts";
import { Counter, Histogram, metricsText, Reading } from "../../src/server/metrics/families.ts";
import { RequestMetrics } from "../../src/server/metrics/request-metrics.ts";
import { createServer } from "../../src/server/server.ts";
import { resultOf } from "../protocols/run-events.ts";
import { loadDemo, pictureUrl, post, readingOf } from "./demo.ts";

test("the text format", () => {
  const counter = new Counter("a_total", "What\nis \\ counted.");
  counter.add({ kind: 'one "x"\n\\' });
  counter.add({ kind: "two" }, 2);
  const histogram = new Histogram("b", "Times.", [0.5, 1]);
  for (const value of [0.5, 0.6, 7]) histogram.observe({}, value);
  const gauge = new Reading("gauge", "c", "Now.", () => [{ labels: {}, value: Number.POSITIVE_INFINITY }]);
  assert.is(
    metricsText([counter, histogram, gauge]),
    `# HELP a_total What\\nis \\\\ counted.
# TYPE a_total counter
a_total{kind="one \\"x\\"\\n\\\\"} 1
a_total{kind="two"} 2
# HELP b Times.
# TYPE b histogram
b_bucket{le="0.5"} 1
b_bucket{le="1"} 2
b_bucket{le="+Inf"} 3
b_sum 8.1
b_count 3
# HELP c Now.
# TYPE c gauge
c +Inf
`,
  );
});

test("a request that is refused when it is its turn is counted nowhere", () => {
  const metrics = new RequestMetrics();
  const observer = metrics.observe({} as never, "m");
  observer.began?.();
  observer.ended?.(null, new RequestError("invalid", "The picture is none.").problem);
  assert.not.match(metricsText(metrics.families), "model_name");
});

test("an answer is timed from its request to its last token", () => {
  let now = 0;
  const metrics = new RequestMetrics(() => now);
  const observer = metrics.observe({} as never, "m");
  const at = (milliseconds: number, task: () => void) => {
    now = milliseconds;
    task();
  };
  const token = (index: number) =>
    observer.event?.({ choice: 0, index, ...(index === 0 && { prompt: { promptTokens: 10 } }) } as never);
  at(100, () => observer.began?.());
  at(300, () => token(0));
  // Two events of one token.
  at(500, () => token(1));
  at(550, () => token(1));
  at(1000, () => observer.ended?.(resultOf({ finishReason: "length" }), null));
  const values = valuesOf(metricsText(metrics.families));
  const label = '{model_name="m"}';
  assert.is(values[`vllm:request_queue_time_seconds_sum${label}`], 0.1);
  assert.is(values[`vllm:time_to_first_token_seconds_sum${label}`], 0.3);
  assert.is(values[`vllm:inter_token_latency_seconds_sum${label}`], 0.2);
  assert.is(values[`vllm:inter_token_latency_seconds_count${label}`], 1);
  assert.is(values[`vllm:e2e_request_latency_seconds_sum${label}`], 1);
  assert.is(values[`vllm:generation_tokens_total${label}`], 2);
  assert.is(values[`vllm:prompt_tokens_total${label}`], 10);
  assert.is(values['vllm:request_success_total{model_name="m",finished_reason="length"}'], 1);
});

test("what ended without an answer", () => {
  const metrics = new RequestMetrics();
  const end = (error: RequestError | null) =>
    metrics.observe({} as never, "m").ended?.(null, error?.problem ?? null);
  end(null);
  end(new RequestError("timedOut", "Late."));
  end(new RequestError("unavailable", "Gone."));
  end(new RequestError("invalid", "Wrong."));
  const values = valuesOf(metricsText(metrics.families));
  assert.is(values['vllm:request_success_total{model_name="m",finished_reason="abort"}'], 2);
  assert.is(values['vllm:request_success_total{model_name="m",finished_reason="error"}'], 1);
  assert.is(values['vllm:e2e_request_latency_seconds_count{model_name="m"}'], 3);
});

test("requests are seen in the figures of their server", async () => {
  const model = await loadDemo();
  try {
    const server = createServer(model, { name: "demo", speculation: "auto" });
    const figures = async () => {
      const response = await server.fetch(new Request("http://localhost/metrics"));
      assert.is(response.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
      return valuesOf(await response.text());
    };
    const label = '{model_name="demo"}';
    assert.is((await figures())[`vllm:num_requests_running${label}`], 0);
    const body = { messages: readingOf(pictureUrl()), temperature: 0 };
    for (let time = 0; time < 2; time++) {
      const response = await server.fetch(post("/v1/chat/completions", body));
      await response.text();
    }
    const values = await figures();
    const read = (name: string) => values[`vllm:${name}${label}`] as number;
    assert.is(read("generation_tokens_total"), 24);
    assert.is(read("time_to_first_token_seconds_count"), 2);
    assert.is(values['vllm:request_success_total{model_name="demo",finished_reason="stop"}'], 2);
    assert.ok(read("prefix_cache_hits_total") > 0);
    assert.ok(read("prefix_cache_queries_total") > read("prefix_cache_hits_total"));
    // Of the second the pages were there, so that nobody looked for its picture.
    assert.is(read("mm_cache_queries_total"), 1);
    assert.ok(read("kv_cache_usage_perc") >= 0);
    assert.ok(read("spec_decode_num_drafts_total") > 0);
    const byPlace = Object.entries(values).filter(([name]) => name.includes("accepted_tokens_per_pos"));
    assert.is(
      byPlace.reduce((sum, [, value]) => sum + value, 0),
      read("spec_decode_num_accepted_tokens_total"),
    );
  } finally {
    await model.dispose();
  }
});

function valuesOf(text: string): Record<string, number> {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return Object.fromEntries(
    lines.map((line) => {
      const at = line.lastIndexOf(" ");
      return [line.slice(0, at), Number(line.slice(at + 1))];
    }),
  );
}

test.run();
