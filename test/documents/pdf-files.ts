/** PDFs made by hand, so that tests know every byte of them. */

export interface PdfPicture {
  /** u8 RGB. */
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
}

type Part = string | Uint8Array;

/** Objects numbered from 1, the first of them the catalog. */
export function pdfOf(objects: readonly (readonly Part[])[], trailer = ""): Uint8Array {
  const parts: Buffer[] = [Buffer.from("%PDF-1.7\n")];
  let length = parts[0]!.length;
  const offsets: number[] = [];
  const add = (part: Part) => {
    const bytes = typeof part === "string" ? Buffer.from(part, "latin1") : Buffer.from(part);
    parts.push(bytes);
    length += bytes.length;
  };
  for (const [index, object] of objects.entries()) {
    offsets.push(length);
    add(`${index + 1} 0 obj\n`);
    for (const part of object) add(part);
    add("\nendobj\n");
  }
  const start = length;
  add(`xref\n0 ${objects.length + 1}\n0000000000 65535 f \n`);
  for (const offset of offsets) add(`${String(offset).padStart(10, "0")} 00000 n \n`);
  add(`trailer\n<</Size ${objects.length + 1}/Root 1 0 R${trailer}>>\nstartxref\n${start}\n%%EOF\n`);
  return new Uint8Array(Buffer.concat(parts));
}

/** A picture a page, a point a pixel: rendered at 72 dpi it has the picture's own pixels. */
export function picturePdf(pictures: readonly PdfPicture[]): Uint8Array {
  const pages = pictures.map((_, index) => `${3 + 3 * index} 0 R`).join(" ");
  return pdfOf([
    ["<</Type/Catalog/Pages 2 0 R>>"],
    [`<</Type/Pages/Kids[${pages}]/Count ${pictures.length}>>`],
    ...pictures.flatMap(({ data, width, height }, index) => {
      const first = 3 + 3 * index;
      const content = `q ${width} 0 0 ${height} 0 0 cm /I Do Q`;
      const size = `/MediaBox[0 0 ${width} ${height}]`;
      return [
        [
          `<</Type/Page/Parent 2 0 R${size}/Contents ${first + 1} 0 R/Resources<</XObject<</I ${first + 2} 0 R>>>>>>`,
        ],
        [`<</Length ${content.length}>>stream\n${content}\nendstream`],
        [
          `<</Type/XObject/Subtype/Image/Width ${width}/Height ${height}/ColorSpace/DeviceRGB/BitsPerComponent 8/Length ${data.length}>>stream\n`,
          data,
          "\nendstream",
        ],
      ];
    }),
  ]);
}

/** One page of a line of text. */
export function textPdf(
  text: string,
  { width = 300, height = 200, size = 24, extra = "", trailer = "" } = {},
) {
  const content = `BT /F 24 Tf 20 100 Td ${size} 0 0 ${size} 20 100 Tm /F 1 Tf (${text}) Tj ET`;
  return pdfOf(
    [
      ["<</Type/Catalog/Pages 2 0 R>>"],
      ["<</Type/Pages/Kids[3 0 R]/Count 1>>"],
      [
        `<</Type/Page/Parent 2 0 R/MediaBox[0 0 ${width} ${height}]${extra}/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>`,
      ],
      [`<</Length ${content.length}>>stream\n${content}\nendstream`],
      ["<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"],
    ],
    trailer,
  );
}
