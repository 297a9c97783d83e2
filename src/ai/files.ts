/** Files of a prompt: pictures and videos for the model's processor, and texts. */
import { GlimtError } from "../errors.ts";
import { shown } from "../given.ts";
import type { MessagePart } from "../prompt/process-options.ts";
import type { FileData, FilePart } from "./contract.ts";
import { unsupported } from "./errors.ts";

/** Of what glimt fetches itself; other addresses are the AI SDK's to download, or to refuse. */
export const SUPPORTED_URLS: Readonly<Record<string, readonly RegExp[]>> = {
  "image/*": [/^https?:\/\//i],
  "video/*": [/^https?:\/\//i],
};

/**
 * @param path where it stands, for errors
 * @throws an error of the AI SDK's kind "unsupported functionality" for other files, INPUT_INVALID
 */
export function filePart({ mediaType, data, providerOptions }: FilePart, path: string): MessagePart {
  if (typeof mediaType !== "string") {
    throw new GlimtError("INPUT_INVALID", `${path}.mediaType: expected a text, found ${shown(mediaType)}.`);
  }
  // "image/png", "image/*" or "image".
  const kind = mediaType.split("/", 1)[0]?.toLowerCase();
  if (kind === "text") return { type: "text", text: fileText(data, path) };
  if (kind !== "image" && kind !== "video") {
    throw unsupported(
      `files of type ${mediaType}`,
      `${path}: a file of type ${shown(mediaType)} can not be read; there are image/*, video/* and text/*. ` +
        "Turn the pages of a document into pictures.",
    );
  }
  const source = mediaSource(data, kind, path);
  // What glimt's own parts may say: uuid, and of videos fps, maxFrames, sampleFrames, metadata. `process` checks them.
  const said = providerOptions?.glimt ?? {};
  return (kind === "image"
    ? { ...said, type: "image", image: source }
    : { ...said, type: "video", video: source }) as unknown as MessagePart;
}

function mediaSource(data: FileData, kind: string, path: string): Uint8Array | string {
  if (data?.type === "data") {
    // A text is base64, and must not be taken for a path.
    return typeof data.data === "string" ? `data:${kind}/*;base64,${data.data}` : data.data;
  }
  if (data?.type === "url") {
    const url = String(data.url);
    if (/^(https?|data):/i.test(url)) return url;
    throw new GlimtError(
      "INPUT_INVALID",
      `${path}.data: addresses of pictures and videos begin with http:, https: or data:; give the bytes of local files.`,
    );
  }
  throw noFile(data, path);
}

function fileText(data: FileData, path: string): string {
  if (data?.type === "text") return data.text;
  if (data?.type !== "data") throw noFile(data, path);
  try {
    const bytes =
      typeof data.data === "string"
        ? Uint8Array.from(atob(data.data), (letter) => letter.charCodeAt(0))
        : data.data;
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new GlimtError("INPUT_INVALID", `${path}.data: it is no text in UTF-8.`, { cause });
  }
}

function noFile(data: FileData | undefined, path: string): GlimtError {
  const type = shown(data?.type);
  return unsupported(
    `file data of type ${type}`,
    `${path}.data: expected the data of the file or its address, found ${type}.`,
  );
}
