/** Documents over HTTP, as GLM-OCR's own server and its vendor's cloud speak. */
import type { DocumentOptions } from "../../documents/document-options.ts";
import type { DocumentPage, DocumentRegion } from "../../documents/document-page.ts";
import { documentMarkdown, type PictureText, pageMarkdown } from "../../documents/markdown/document-text.ts";
import type { DocumentResult } from "../../documents/read-document.ts";
import type { PageReader } from "../../documents/reading.ts";
import { GlimtError } from "../../errors.ts";
import { RequestError } from "../../protocols/errors.ts";
import { Fields } from "../../protocols/fields.ts";
import { newId } from "../../protocols/ids.ts";
import type { ServerContext } from "../context.ts";
import type { RequestScope } from "../request-scope.ts";
import { newRoutes, type Routes } from "./routes.ts";

/** Of the vendor's cloud. */
const [MOST_BYTES, MOST_PAGES] = [50 * 2 ** 20, 100];
/** Pages of one request that are under way at a time: others want their turns too. */
const PAGES_AT_A_TIME = 4;

export function documentRoutes(context: ServerContext): Routes {
  return newRoutes()
    .post("/glmocr/parse", async ({ env: scope }) => {
      const sources = readParse(await scope.json());
      const results: DocumentResult[] = [];
      for (const source of sources) results.push(await read(context, scope, source, {}));
      return scope.reply(writeParsed(results));
    })
    .post("/api/paas/v4/layout_parsing", async ({ env: scope }) => {
      const { source, model, requestId, ...options } = readLayoutParsing(await scope.json());
      const result = await read(context, scope, source, options, model);
      return scope.reply(
        writeLayoutParsing(result, model ?? context.names.find(undefined).name, requestId ?? scope.id),
      );
    });
}

/** A list of documents, or one. */
function readParse(body: unknown): string[] {
  const fields = new Fields(body);
  const one = typeof fields.any("images") === "string" ? fields.string("images") : undefined;
  const images = one === undefined ? fields.strings("images") : [one];
  fields.end();
  if (images === undefined || images.length === 0) throw fields.missing("images");
  return images.map(asSource);
}

function readLayoutParsing(body: unknown) {
  const fields = new Fields(body);
  const file = fields.string("file");
  const model = fields.string("model");
  const prompt = fields.string("prompt");
  const first = fields.whole("start_page_id");
  const last = fields.whole("end_page_id");
  const requestId = fields.string("request_id");
  // Its own client asks for the picture of the layout unless it is told not to, and does without.
  fields.pass(["user_id", "need_layout_visualization"]);
  fields.refuse("return_crop_images", "Cut pictures out by their bbox_2d.", [false]);
  fields.end();
  if (file === undefined) throw fields.missing("file");
  if (first !== undefined && first < 1) throw fields.wrong("start_page_id", "a page from 1");
  if (last !== undefined && last < (first ?? 1))
    throw fields.wrong("end_page_id", "a page from start_page_id");
  const pages = first === undefined && last === undefined ? undefined : `${first ?? 1}-${last ?? ""}`;
  return { source: asSource(file), model, requestId, prompt, pages };
}

/** Base64 of a PDF says what it is too. */
function asSource(text: string): string {
  return /^JVBERi[\w+/]/.test(text) ? `data:application/pdf;base64,${text}` : text;
}

/** @throws RequestError, GlimtError; of a document of which no page could be read what was wrong with the first */
async function read(
  { options: { readDocument, policy } }: ServerContext,
  scope: RequestScope,
  source: string,
  options: DocumentOptions,
  model?: string,
): Promise<DocumentResult> {
  if (!readDocument) {
    throw new RequestError(
      "notFound",
      "This server reads no documents: it has no readDocument of glimt/ocr.",
    );
  }
  const reader: PageReader = {
    // Each answer waits for its turn as those of other requests do.
    complete: async (messages, { signal: _, ...asked }) => {
      const answer = await scope.answer({ prompt: messages, options: asked, model, stream: false });
      return answer.result();
    },
  };
  const limits = { maxSourceBytes: MOST_BYTES, maxPages: MOST_PAGES, concurrency: PAGES_AT_A_TIME };
  const run = readDocument(reader, source, {
    ...options,
    ...limits,
    sources: policy.sources,
    signal: scope.signal,
  });
  const result = await run.result;
  const [failure] = result.pages.flatMap(({ error }) => error ?? []);
  if (failure && result.pages.every(({ error }) => error)) {
    throw new GlimtError(failure.code, failure.message);
  }
  scope.note({ promptTokens: result.usage.promptTokens, completionTokens: result.usage.completionTokens });
  return result;
}

function writeParsed(results: readonly DocumentResult[]) {
  const written = results.map(({ pages, json }) => ({
    json: json.map((regions) => regions.map(({ image_path: _, ...region }) => region)),
    markdown: markdownOf(pages, ({ bbox_2d: box }, number) => placed(number - 1, box)),
  }));
  const isOne = written.length === 1;
  return {
    json_result: isOne ? written[0]?.json : written.map(({ json }) => json),
    markdown_result: written.map(({ markdown }) => markdown).join("\n\n---\n\n"),
    ...problemsOf(results),
  };
}

function writeLayoutParsing(result: DocumentResult, model: string, requestId: string) {
  const { pages, usage } = result;
  const inPixels = ({ bbox_2d: box }: DocumentRegion, page: DocumentPage) => box && pixels(box, page);
  const picture: PictureText = (region, number) => {
    const index = pages.findIndex((page) => page.number === number);
    return placed(index, inPixels(region, pages[index] as DocumentPage));
  };
  return {
    id: newId("layout-"),
    created: Math.floor(Date.now() / 1000),
    model,
    md_results: markdownOf(pages, picture),
    layout_details: pages.map((page) =>
      page.regions.map(({ image_path: _, ...region }) => ({
        ...region,
        bbox_2d: inPixels(region, page),
        width: page.width,
        height: page.height,
      })),
    ),
    data_info: {
      num_pages: pages.length,
      pages: pages.map(({ width, height }) => ({ width, height })),
    },
    usage: {
      prompt_tokens: usage.promptTokens,
      completion_tokens: usage.completionTokens,
      total_tokens: usage.promptTokens + usage.completionTokens,
    },
    request_id: requestId,
    ...problemsOf([result]),
  };
}

function markdownOf(pages: readonly DocumentPage[], picture: PictureText): string {
  return documentMarkdown(
    pages.map((page) => ({ ...page, markdown: pageMarkdown(page.regions, page.number, picture) })),
  );
}

/** Where the picture is: the vendor's clients cut it out there. @param page its place among those that were read */
function placed(page: number, box: readonly number[] | null): string {
  return `![](page=${page},bbox=[${(box ?? []).join(", ")}])`;
}

function pixels(box: readonly number[], { width, height }: DocumentPage): number[] {
  return box.map((value, at) => Math.round((value * (at % 2 === 0 ? width : height)) / 1000));
}

/** What is missing, beside what there is. */
function problemsOf(results: readonly DocumentResult[]) {
  const pages = results.flatMap((result) => result.pages);
  const errors = pages.flatMap(({ number, error }) => (error ? [{ page: number, ...error }] : []));
  const warnings = pages.flatMap((page) => page.warnings.map((message) => ({ page: page.number, message })));
  return { ...(errors.length > 0 && { errors }), ...(warnings.length > 0 && { warnings }) };
}
