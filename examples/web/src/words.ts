/** What went wrong, in words that a visitor can act on. */
import type { ErrorCode } from "glimt";

/** What the page was at. */
export type Doing = "loading" | "reading";
export type Remedy = "choose-model" | "load-again" | "choose-file" | null;

export interface Notice {
  readonly title: string;
  readonly advice: string;
  readonly remedy: Remedy;
  /** For who reports it: the code, and the SDK's own words. */
  readonly detail: string;
}

type Words = readonly [title: string, advice: string, remedy?: Remedy];

const NOT_A_MODEL: Words = [
  "This is not a model that runs here",
  "It takes checkpoints of the GLM-4V family, as GLM-OCR or GLM-4.1V, or GGUF files of them.",
  "choose-model",
];
const NOT_LOADED: Words = ["No model is loaded", "Load one to ask about the picture.", "choose-model"];
const WORDS: Partial<Record<ErrorCode, Words | Readonly<Record<Doing, Words>>>> = {
  IMAGE_INVALID: [
    "This file is not a picture that can be read",
    "Try a PNG, JPEG, WebP, GIF, BMP or TIFF file.",
    "choose-file",
  ],
  IMAGE_TOO_LARGE: [
    "This picture is too large",
    "It has more than 100 million pixels. Make it smaller, or cut out the part you ask about.",
    "choose-file",
  ],
  SOURCE_TOO_LARGE: [
    "This file is too large",
    "Files of up to 512 MB are read. Try a smaller one.",
    "choose-file",
  ],
  VIDEO_INVALID: [
    "This video can not be read",
    "Try an MP4, WebM, MOV or MKV file, or an animated GIF.",
    "choose-file",
  ],
  CODEC_UNAVAILABLE: [
    "This browser can not decode the video",
    "Try a recent Chrome or Edge, or a video in H.264 or VP9.",
    "choose-file",
  ],
  CONTEXT_OVERFLOW: [
    "That is more than the model can read at once",
    "Try a smaller picture, a shorter video or a shorter question.",
  ],
  OUT_OF_MEMORY: {
    loading: [
      "The model does not fit into this tab's memory",
      "Load it with 8 or 4 bits, or choose a smaller one.",
      "choose-model",
    ],
    reading: [
      "There is not enough memory for this picture",
      "Try a smaller one, or load the model with less detail or fewer bits.",
      "choose-model",
    ],
  },
  TIMED_OUT: {
    loading: [
      "The server stopped answering",
      "Look at your connection, then load the model again.",
      "load-again",
    ],
    reading: ["The file took too long to read", "Try it again, or a smaller one.", "choose-file"],
  },
  DEVICE_FAILED: [
    "The model stopped working",
    "The browser ended what it ran in, mostly for want of memory. Close other tabs and load it again.",
    "load-again",
  ],
  BACKEND_UNAVAILABLE: [
    "This browser can not run the model",
    "It needs WebAssembly with SIMD: Chrome 91, Firefox 89 or Safari 16.4, or newer.",
  ],
  CACHE_FAILED: [
    "The browser can not keep the model",
    "Make room on this device, or leave private browsing, then load it again.",
    "load-again",
  ],
  TENSOR_INVALID: [
    "The model computed nothing usable",
    "Load it again with its weights as published.",
    "choose-model",
  ],
  DISPOSED: NOT_LOADED,
  OPTION_INVALID: {
    loading: [
      "That can not be loaded",
      "Look at the name or address, and at how to load it.",
      "choose-model",
    ],
    reading: ["That can not be asked", "Change the question and try again."],
  },
  INPUT_INVALID: ["That can not be asked", "Choose a picture, and write a question."],
  TEMPLATE_INVALID: {
    loading: NOT_A_MODEL,
    reading: ["The model does not take this question", "Change it and try again."],
  },
  MODEL_UNSUPPORTED: NOT_A_MODEL,
  CONFIG_INVALID: NOT_A_MODEL,
  TOKENIZER_INVALID: NOT_A_MODEL,
  CHECKPOINT_INVALID: [
    "The model's files are not whole",
    "One is damaged or was cut off. Load it again, or choose another model.",
    "load-again",
  ],
  WEIGHTS_INVALID: [
    "The model's weights do not fit it",
    "Some are missing or of other sizes. Choose another model.",
    "choose-model",
  ],
};

const NOT_REACHED: Words = [
  "The server can not be reached",
  "Look at the address and your connection. A server of your own has to allow other pages (CORS).",
  "load-again",
];
const OFFLINE: Readonly<Record<Doing, Words>> = {
  loading: ["You are offline", "Connect again, then load it: not all that it needs is here.", "load-again"],
  reading: ["You are offline", "Connect again, then ask once more: not all that it needs is here."],
};
const PART_MISSING: Readonly<Record<Doing, Words>> = {
  loading: ["A part of this page did not come", "Look at your connection, then load again.", "load-again"],
  reading: ["A part of this page did not come", "Look at your connection, then ask once more."],
};
const NOT_A_HUB: Words = [
  "This server does not answer as Hugging Face does",
  "Look at the address of the mirror.",
  "choose-model",
];
const NO_MODEL: Words = [
  "There is no such model",
  "Look at its name: ORG/NAME as on Hugging Face, or an address. A private one needs your token.",
  "choose-model",
];
const OTHER: Words = ["Something went wrong", "Try it again. What the page knows is below."];

/** Of an error that the SDK threw; null for one that the visitor asked for by ending it. */
export function noticeOf(error: unknown, doing: Doing, online = true): Notice | null {
  const { code, message } = error as { readonly code?: ErrorCode; readonly message?: string };
  if (code === "ABORTED") return null;
  const detail = [code, message ?? String(error)].filter((text) => text !== undefined).join(": ");
  const [title, advice, remedy = null] = wordsFor(code, detail, doing, online);
  return { title, advice, remedy, detail };
}

function wordsFor(code: ErrorCode | undefined, detail: string, doing: Doing, online: boolean): Words {
  // Codecs and workers are files of the page, which come when they are needed.
  if (/dynamically imported module|Importing a module script/i.test(detail)) {
    return (online ? PART_MISSING : OFFLINE)[doing];
  }
  if (/does not answer as the Hub/.test(detail)) return NOT_A_HUB;
  // One code for what is not there and for servers that can not be asked: the SDK's words tell them apart.
  if (code === "CHECKPOINT_NOT_FOUND") {
    if (!online) return OFFLINE[doing];
    return /can not be reached|refuses the connection|no host|status 5\d\d/.test(detail)
      ? NOT_REACHED
      : NO_MODEL;
  }
  const words = code === undefined ? undefined : WORDS[code];
  if (words === undefined) return OTHER;
  return "loading" in words ? words[doing] : words;
}

/** Of a file that is neither a picture nor a video by its name and type. */
export function notMedia(file: File): Notice {
  return {
    title: "This file is neither a picture nor a video",
    advice: "Drop a PNG, JPEG, WebP, GIF, BMP or TIFF picture, or an MP4, WebM, MOV or MKV video.",
    remedy: "choose-file",
    detail: `${file.name || "the file"}: ${file.type || "of no type"}`,
  };
}

/** Of a question while there is no model. */
export function noModelNotice(): Notice {
  const [title, advice, remedy = null] = NOT_LOADED;
  return { title, advice, remedy, detail: "" };
}

/** Of a sample that the server does not give. */
export function sampleNotice(error: unknown): Notice {
  return {
    title: "The sample can not be reached",
    advice: "Look at your connection, or choose a file of your own.",
    remedy: "choose-file",
    detail: String(error),
  };
}

/** Of an address that the page's own policy does not let it ask. */
export function plainHttpNotice(address: string): Notice {
  return {
    title: "This page asks no servers by plain http",
    advice: "Those of this machine (localhost) excepted. Take an https address, or a folder on this device.",
    remedy: "choose-model",
    detail: address,
  };
}

const CAMERA: Readonly<Record<string, readonly [string, string]>> = {
  NotAllowedError: [
    "The camera is not allowed",
    "Allow it for this page in the browser's address bar, or choose a file.",
  ],
  NotFoundError: ["There is no camera", "Choose a file, or paste a picture."],
  NotReadableError: ["The camera is in use", "Close what else uses it, then try again."],
};

/** Of a camera that can not be had. */
export function cameraNotice(error: unknown): Notice {
  const { name = "Error", message = String(error) } = error as {
    readonly name?: string;
    readonly message?: string;
  };
  const [title, advice] = CAMERA[name] ?? [
    "The camera can not be used",
    "Choose a file, or paste a picture.",
  ];
  return { title, advice, remedy: "choose-file", detail: `${name}: ${message}` };
}

/** Of a clipboard that holds no picture or may not be read. */
export function pasteNotice(error?: unknown): Notice {
  return error === undefined
    ? {
        title: "The clipboard holds no picture",
        advice: "Copy one first, or choose a file.",
        remedy: "choose-file",
        detail: "",
      }
    : {
        title: "The clipboard may not be read",
        advice: "Press Ctrl+V (⌘V) on this page instead, or choose a file.",
        remedy: "choose-file",
        detail: String(error),
      };
}
