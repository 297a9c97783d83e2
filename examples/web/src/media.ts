/** Files that are dropped, pasted, chosen or taken: which of them the model can be asked about. */

export interface Media {
  readonly kind: "image" | "video";
  readonly file: Blob;
  readonly name: string;
}

/** Browsers do not know all of their types. */
const VIDEO_NAMES = /\.(mp4|m4v|mov|webm|mkv|ts|mts|m2ts)$/i;
const IMAGE_NAMES = /\.(png|apng|jpe?g|webp|gif|bmp|tiff?)$/i;

/** Null for what is neither a picture nor a video. A file that says nothing of itself is tried as a picture. */
export function mediaOf(file: File): Media | null {
  const { type, name } = file;
  if (type.startsWith("video/") || VIDEO_NAMES.test(name)) return { kind: "video", file, name };
  if (type.startsWith("image/") || IMAGE_NAMES.test(name)) return { kind: "image", file, name };
  return type === "" && !name.includes(".") ? { kind: "image", file, name } : null;
}

/** The first file of what was dropped or pasted. */
export function firstFile(data: DataTransfer | null): File | null {
  return data?.files[0] ?? null;
}

/** Whether what is dragged over the page holds files; their names are not told before they are dropped. */
export function holdsFiles(data: DataTransfer | null): boolean {
  return data?.types.includes("Files") ?? false;
}

/** A picture of the clipboard; null when it holds none. @throws what the browser says when it may not be read */
export async function clipboardPicture(): Promise<File | null> {
  for (const item of await navigator.clipboard.read()) {
    const type = item.types.find((name) => name.startsWith("image/"));
    if (type) return new File([await item.getType(type)], "pasted picture", { type });
  }
  return null;
}
