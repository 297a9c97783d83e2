/** Lines of a batch file, in OpenAI's form: a request that is read, and the line that answers it. */
import { shown } from "../given.ts";
import { parseBody } from "../protocols/read-body.ts";

/** What a line asks: `{"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {…}}`. */
export interface LineRequest {
  readonly customId: string;
  readonly url: string;
  readonly body: Readonly<Record<string, unknown>>;
}

/** What is answered to a line, as a server would answer the request. */
export interface LineResponse {
  readonly status: number;
  readonly body: object;
}

/** Why a line is no request that could be answered. */
export interface LineError {
  readonly code: "invalid_line" | "invalid_json" | "line_too_long";
  readonly message: string;
}

export type ReadLine =
  | { readonly customId: string; readonly request: LineRequest }
  /** With the custom_id of a line that has one. */
  | { readonly customId: string | null; readonly error: LineError };

const FIELDS = ["custom_id", "method", "url", "body"];
const LONGEST_ID = 512;

/** @param bytes the line, or null for one that is too long to be read */
export function readLine(bytes: Uint8Array | null): ReadLine {
  if (bytes === null) return wrong(null, "it is longer than lines may be", "line_too_long");
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return wrong(null, "it is no UTF-8", "invalid_json");
  }
  try {
    return readFields(parseBody(text));
  } catch (cause) {
    return wrong(null, `it is no JSON: ${(cause as Error).message}`, "invalid_json");
  }
}

function readFields(line: unknown): ReadLine {
  if (!isObject(line)) {
    return wrong(null, `it is ${shown(line)}, expected an object with ${FIELDS.join(", ")}`);
  }
  const { custom_id: customId, method, url, body } = line;
  if (typeof customId !== "string" || customId === "" || customId.length > LONGEST_ID) {
    return wrong(null, `custom_id is ${shown(customId)}, expected a text of 1 to ${LONGEST_ID} characters`);
  }
  const other = Object.keys(line).find((key) => !FIELDS.includes(key));
  if (other !== undefined)
    return wrong(customId, `it has a field ${shown(other)}; a line has ${FIELDS.join(", ")}`);
  if (method !== "POST") return wrong(customId, `method is ${shown(method)}, expected "POST"`);
  if (typeof url !== "string")
    return wrong(customId, `url is ${shown(url)}, expected a path such as /v1/chat/completions`);
  if (!isObject(body)) return wrong(customId, `body is ${shown(body)}, expected the request's object`);
  return { customId, request: { customId, url, body } };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function wrong(customId: string | null, problem: string, code: LineError["code"] = "invalid_line"): ReadLine {
  return { customId, error: { code, message: `The line can not be read: ${problem}.` } };
}

/** The line that answers line `id`. */
export function responseLine(id: string, customId: string, { status, body }: LineResponse): string {
  const response = { status_code: status, request_id: id, body };
  return JSON.stringify({ id, custom_id: customId, response, error: null });
}

/** The line that says why line `id` was not asked. */
export function errorLine(id: string, customId: string | null, error: LineError): string {
  return JSON.stringify({ id, custom_id: customId, response: null, error });
}
