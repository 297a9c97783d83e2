/** What of documents runs in a worker: everything that parses a stranger's PDF. */

import { handOver } from "../workers/task.ts";
import {
  countPdfPages,
  type PdfInput,
  type PdfPageInput,
  type RenderedPage,
  renderPdfPage,
} from "./pdf/pdf-file.ts";

export type DocumentTasks = ReturnType<typeof documentTasks>;

export function documentTasks() {
  return {
    countPdfPages: (input: PdfInput): Promise<number> => countPdfPages(input),

    async renderPdfPage(input: PdfPageInput): Promise<RenderedPage> {
      const page = await renderPdfPage(input);
      return handOver(page, [page.image.data.buffer as ArrayBuffer]);
    },
  };
}
