/** What a page's own thread works at, from Chromium's trace: by the processor's time, which others on the machine take none of. */
import type { Browser, Page } from "playwright-core";

interface TraceEvent {
  readonly ph: string;
  readonly name: string;
  readonly pid: number;
  readonly tid: number;
  /** Microseconds of the processor, of tasks that are whole. */
  readonly tdur?: number;
  readonly args?: {
    /** Of a thread. */
    readonly name?: string;
    readonly data?: { readonly frames?: readonly Frame[] } & Partial<Frame>;
  };
}

interface Frame {
  readonly url: string;
  readonly processId: number;
}

/** Behind which browsers call a task long. */
export const LONG_MS = 50;

/** The longest task of the threads that run pages of ours (not the browser's own, as its address bar) while `work` is under way, in milliseconds of the processor. */
export async function longestPageTask(
  browser: Browser,
  page: Page,
  work: () => Promise<void>,
): Promise<number> {
  await browser.startTracing(page, { categories: ["toplevel", "disabled-by-default-devtools.timeline"] });
  let trace: Buffer;
  try {
    await work();
  } finally {
    trace = await browser.stopTracing();
  }
  const { traceEvents } = JSON.parse(String(trace)) as { traceEvents: TraceEvent[] };
  const threadOf = ({ pid, tid }: TraceEvent) => `${pid} ${tid}`;
  const ours = ourProcesses(traceEvents);
  const pages = new Set(
    traceEvents.flatMap((event) =>
      event.name === "thread_name" && event.args?.name === "CrRendererMain" && ours.has(event.pid)
        ? [threadOf(event)]
        : [],
    ),
  );
  const tasks = traceEvents.filter((event) => event.ph === "X" && pages.has(threadOf(event)));
  const times = tasks.flatMap(({ tdur }) => (tdur === undefined ? [] : [tdur / 1000]));
  if (times.length === 0) throw new Error("The trace holds no task of a page.");
  return Math.max(...times);
}

/** Those that had a page from a server: frames when the trace began, and those that came. */
function ourProcesses(events: readonly TraceEvent[]): ReadonlySet<number> {
  const frames = events.flatMap(({ name, args }): readonly Partial<Frame>[] => {
    if (name === "TracingStartedInBrowser") return args?.data?.frames ?? [];
    return name === "FrameCommittedInBrowser" && args?.data ? [args.data] : [];
  });
  return new Set(
    frames.flatMap(({ url, processId }) =>
      url?.startsWith("http") && processId !== undefined ? [processId] : [],
    ),
  );
}
