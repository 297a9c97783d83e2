// Reads every picture of a folder, and goes on where it was ended:
//   node examples/node/batch.mjs MODEL FOLDER
import { createReadStream } from "node:fs";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { loadModel } from "glimt";
import { runBatch } from "glimt/batch";

const [location, folder] = process.argv.slice(2);
if (!location || !folder) {
  console.error("usage: node batch.mjs MODEL FOLDER");
  process.exit(1);
}

// The same file each time: what was answered is known by its line.
const pictures = (await readdir(folder)).filter((name) => /\.(png|jpe?g|webp|tiff?)$/i.test(name)).sort();
const lines = pictures.map((name) =>
  JSON.stringify({
    custom_id: name,
    method: "POST",
    url: "/v1/chat/completions",
    body: {
      messages: [
        {
          role: "user",
          content: [
            { type: "image_url", image_url: { url: name } },
            { type: "text", text: "Text Recognition:" },
          ],
        },
      ],
      temperature: 0,
      max_tokens: 4096,
    },
  }),
);
const [input, output] = [join(folder, "requests.jsonl"), join(folder, "answers.jsonl")];
await writeFile(input, `${lines.join("\n")}\n`);

const model = await loadModel(location);
try {
  const { answered, failed } = await runBatch(model, { input, output });
  console.error(`${answered} pictures read, ${failed} of them with errors`);
} finally {
  await model.dispose();
}

for await (const line of createInterface({ input: createReadStream(output) })) {
  const { custom_id, response } = JSON.parse(line);
  console.log(
    `${custom_id}: ${JSON.stringify(response.body.choices?.[0].message.content ?? response.body.error)}`,
  );
}
