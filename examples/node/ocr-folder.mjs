// Reads the documents of a folder, PDFs and pictures, and writes the Markdown of each into another:
//   node examples/node/ocr-folder.mjs MODEL FOLDER OUT
// PDFs need a package beside glimt: npm i @embedpdf/pdfium
// (`glimt ocr MODEL FOLDER --out OUT` does the same, and goes on where it was ended.)
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { loadModel } from "glimt";
import { readDocument } from "glimt/ocr";

const [location, folder, out] = process.argv.slice(2);
if (!location || !folder || !out) {
  console.error("usage: node ocr-folder.mjs MODEL FOLDER OUT");
  process.exit(1);
}

const documents = (await readdir(folder)).filter((name) =>
  /\.(pdf|png|jpe?g|webp|gif|tiff?|bmp)$/i.test(name),
);
await mkdir(out, { recursive: true });
const model = await loadModel(location);
try {
  for (const file of documents.sort()) {
    try {
      const { markdown, pages } = await readDocument(model, join(folder, file)).result;
      await writeFile(join(out, `${file}.md`), markdown);
      for (const { number, warnings, error } of pages) {
        if (error) process.exitCode = 1;
        for (const line of [...warnings, ...(error ? [error.message] : [])])
          console.error(`${file}, page ${number}: ${line}`);
      }
      console.log(`${file}: ${pages.length} ${pages.length === 1 ? "page" : "pages"}`);
    } catch (error) {
      // Not a document that can be opened; the model stays usable.
      if (error.code !== "INPUT_INVALID" && error.code !== "IMAGE_INVALID") throw error;
      console.error(`${file}: ${error.message}`);
      process.exitCode = 1;
    }
  }
} finally {
  await model.dispose();
}
