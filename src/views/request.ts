/** One request as a page: what the model is given of it. */

import type { PositionIds } from "../mrope/positions.ts";
import { numPatches } from "../processor/grid.ts";
import type { MediaFacts } from "../prompt/processed-inputs.ts";
import { answerHtml, type ShownAnswer } from "./answer.ts";
import { framesHtml, type ShownFrame } from "./frames.ts";
import { countOf, escaped, grouped, percent } from "./markup.ts";
import { type Fact, factsHtml, htmlPage, type ReportSection } from "./page.ts";
import { patchGridSvg } from "./patch-grid.ts";
import { mediaNames, positionsSvg } from "./positions.ts";
import { type PromptToken, promptHtml, tokensHtml } from "./prompt.ts";

/** An image or video with what is shown of it. */
export interface ShownMedia extends MediaFacts {
  /** Of an image: address of the picture as it was resized; nothing where it is not shown. */
  readonly href?: string | undefined;
  /** Of a video: addresses of frames that were taken, in the order of `source.frames`; nothing where one is not shown. */
  readonly frameHrefs?: readonly (string | undefined)[] | undefined;
}

export interface RequestView {
  /** What names the checkpoint. */
  readonly model: string;
  readonly architecture: string;
  readonly tokens: readonly PromptToken[];
  /** Tokens that are read: pruning leaves others of videos out. */
  readonly promptTokens: number;
  /** Tokens that the model has positions for. */
  readonly contextTokens: number;
  readonly positionIds: Readonly<PositionIds>;
  readonly ropeDelta: number;
  readonly media: readonly ShownMedia[];
  /** Patches a side of what becomes one token, and pixels a side of a patch. */
  readonly mergeSize: number;
  readonly patchSize: number;
  /** What the model said, where it was asked. */
  readonly answer?: ShownAnswer | undefined;
  /** What the request takes of a machine: names and values. */
  readonly memory: readonly Fact[];
  /** Said at the end, such as what is shown smaller than it is. */
  readonly notes: readonly string[];
}

export function requestHtml(view: RequestView): string {
  const { model, tokens, promptTokens, media, memory, notes } = view;
  const images = media.filter(({ type }) => type === "image");
  const videos = media.filter(({ type }) => type === "video");
  const sections: ReportSection[] = [
    { body: `${pictureDefinitions(view)}${factsHtml(requestFacts(view))}` },
    ...(view.answer ? [{ title: "Answer", body: answerSection(view.answer, view) }] : []),
    { title: "Prompt", body: promptSection(tokens) },
    ...(images.length > 0 ? [{ title: "Pictures", body: mediaSection(images, "Picture", view) }] : []),
    ...(videos.length > 0 ? [{ title: "Videos", body: mediaSection(videos, "Video", view) }] : []),
    { title: "Positions", body: positionsSection(view) },
    ...(memory.length > 0 ? [{ title: "Memory", body: factsHtml(memory) }] : []),
    ...(notes.length > 0
      ? [{ body: notes.map((note) => `<p class="note">${escaped(note)}</p>`).join("\n") }]
      : []),
  ];
  const about = [
    countOf(promptTokens, "token"),
    ...(images.length > 0 ? [countOf(images.length, "picture")] : []),
    ...(videos.length > 0 ? [countOf(videos.length, "video")] : []),
  ];
  return htmlPage({
    title: view.answer ? "A question and its answer" : "What the model is given",
    lead: `${model}: ${about.join(", ")}`,
    sections,
  });
}

function requestFacts(view: RequestView): Fact[] {
  const { architecture, tokens, promptTokens, contextTokens, media, ropeDelta } = view;
  const forMedia = media.reduce((sum, { numTokens }) => sum + numTokens, 0);
  const left = tokens.length - promptTokens;
  const read: Fact = [
    "Read",
    `${countOf(promptTokens, "token")}: pruning leaves ${grouped(left)} of the videos' out`,
  ];
  return [
    ["Model", architecture],
    ["Prompt", `${countOf(tokens.length, "token")}, ${grouped(forMedia)} of them for pictures and videos`],
    ...(left > 0 ? [read] : []),
    contextFact(contextTokens, contextTokens - promptTokens),
    ["Rope delta", `${ropeDelta}: the first token of the answer has position ${tokens.length + ropeDelta}`],
  ];
}

function contextFact(context: number, room: number): Fact {
  const tokens = `${grouped(context)} tokens`;
  if (room > 0) return ["Context", `${tokens}, room for ${grouped(room)} more`];
  return ["Context", `${tokens}: the prompt does not fit, ${grouped(1 - room)} too many`, "failed"];
}

function promptSection(tokens: readonly PromptToken[]): string {
  return `${promptHtml(tokens)}
<details><summary>Tokens with their ids</summary>${tokensHtml(tokens)}</details>`;
}

function mediaSection(media: readonly ShownMedia[], name: string, view: RequestView): string {
  return media
    .map((item, index) => {
      const title = media.length === 1 ? name : `${name} ${index + 1}`;
      const facts = factsHtml(mediaFacts(item, view));
      return item.type === "image"
        ? `<div class="item"><div>${pictureOf(item, view)}</div><div><h3>${title}</h3>${facts}</div></div>`
        : `<div class="item wide"><div><h3>${title}</h3>${facts}</div><div>${videoOf(item)}</div></div>`;
    })
    .join("\n");
}

/** Each picture is there once, whoever shows it; and of a video under an answer's attention a frame of each time. */
function pictureDefinitions({ media, patchSize, answer }: RequestView): string {
  const pictures = media.flatMap((item, index) => {
    const [, h, w] = item.gridThw;
    const hrefs = item.type === "image" ? [item.href] : answer ? timeHrefs(item) : [];
    return hrefs.flatMap((href, time) =>
      href === undefined
        ? []
        : [
            `<image id="${pictureId(index, time)}" href="${escaped(href)}" width="${w * patchSize}" height="${h * patchSize}"/>`,
          ],
    );
  });
  if (pictures.length === 0) return "";
  return `<svg class="glimt-pictures" aria-hidden="true"><defs>${pictures.join("")}</defs></svg>\n`;
}

const pictureId = (index: number, time = 0) => `glimt-picture-${index}-${time}`;

/** Of each temporal patch of a video, the address of its first frame. */
function timeHrefs({ gridThw: [t], frameHrefs = [] }: ShownMedia): (string | undefined)[] {
  const framesATime = Math.ceil(frameHrefs.length / t);
  return Array.from({ length: t }, (_, time) => frameHrefs[time * framesATime]);
}

function pictureOf(item: ShownMedia, { media, mergeSize, patchSize }: RequestView): string {
  const [, h, w] = item.gridThw;
  const image = item.href === undefined ? undefined : `#${pictureId(media.indexOf(item))}`;
  return patchGridSvg({
    width: w * patchSize,
    height: h * patchSize,
    gridThw: item.gridThw,
    mergeSize,
    image,
  });
}

function answerSection(answer: ShownAnswer, { media, mergeSize, patchSize }: RequestView): string {
  const names = mediaNames(media);
  const grounds = media.map((item, index) => {
    const [, h, w] = item.gridThw;
    const hrefs = item.type === "image" ? [item.href] : timeHrefs(item);
    const images = hrefs.map((href, time) => (href === undefined ? undefined : `#${pictureId(index, time)}`));
    const name = names[index] as string;
    return { name, width: w * patchSize, height: h * patchSize, images, labels: item.labels };
  });
  return answerHtml(answer, grounds, mergeSize);
}

function videoOf({ source, frameHrefs = [] }: ShownMedia): string {
  if (!source?.frames) return "";
  const { indices, timestamps, numFrames } = source.frames;
  const frames = indices.map(
    (index, at): ShownFrame => ({ index, seconds: timestamps[at] as number, href: frameHrefs[at] }),
  );
  return framesHtml({ frames, numFrames });
}

function mediaFacts(
  { gridThw, numTokens, spans, source, labels }: ShownMedia,
  { mergeSize, patchSize }: RequestView,
): [string, string][] {
  const [t, h, w] = gridThw;
  const times = t === 1 ? "" : `${grouped(t)} times `;
  const [first, last] = [spans[0], spans.at(-1)];
  const place = first && last && `${grouped(first.start + 1)} to ${grouped(last.start + last.length)}`;
  return [
    ...(source
      ? sourceFacts(source)
      : [["Given", "as features: there are no pixels of it"] as [string, string]]),
    ["Patches", `${times}${w} x ${h} of ${patchSize} pixels, ${grouped(numPatches(gridThw))}`],
    ["Merged", `${mergeSize} x ${mergeSize} patches to a token, ${times}${w / mergeSize} x ${h / mergeSize}`],
    ["Tokens", `${grouped(numTokens)}${place ? ` (${place} of the prompt)` : ""}`],
    ...(labels.length > 0 ? [["Times in the prompt", labels.join(", ")] as [string, string]] : []),
  ];
}

function sourceFacts(source: NonNullable<MediaFacts["source"]>): [string, string][] {
  const { width, height, resizedWidth, resizedHeight, frames } = source;
  const share = (resizedWidth * resizedHeight) / (width * height);
  const stretch = resizedWidth / resizedHeight / (width / height) - 1;
  const shape =
    Math.abs(stretch) < 0.0005
      ? ""
      : `, ${percent(Math.abs(stretch))} ${stretch > 0 ? "wider" : "narrower"} in shape`;
  const isSame = width === resizedWidth && height === resizedHeight;
  return [
    ["Decoded", `${width} x ${height} pixels`],
    [
      "Resized",
      isSame
        ? "not: it is read as it is"
        : `to ${resizedWidth} x ${resizedHeight}, ${percent(share)} of the pixels${shape}`,
    ],
    ...(frames
      ? [
          ["Frames", `${grouped(new Set(frames.indices).size)} of ${grouped(frames.numFrames)} taken`] as [
            string,
            string,
          ],
        ]
      : []),
  ];
}

function positionsSection({ positionIds, media }: RequestView): string {
  const about =
    media.length > 0
      ? "Text moves all three positions by one a token. In a picture t stands while h and w count its rows and columns; what follows goes on behind the largest of them."
      : "Text moves all three positions by one a token.";
  return `<p class="note">${about}</p>\n${positionsSvg({ positionIds, media })}`;
}
