/** Frame and scan headers: the components of a picture, and what a scan brings of them. */

import { Unreadable } from "../unreadable.ts";
import type { JpegStream } from "./stream.ts";
import type { Tables } from "./tables.ts";

export type Coding = "huffman" | "arithmetic";
export type Process = "sequential" | "progressive" | "lossless";

export interface Component {
  readonly id: number;
  /** Sampling factors, 1 to 4. */
  readonly across: number;
  readonly down: number;
  readonly quantizationIndex: number;
  /** Size in samples. */
  readonly width: number;
  readonly height: number;
  /** Size in blocks; of a lossless frame a block is a sample. */
  readonly blocksAcross: number;
  readonly blocksDown: number;
  /** The same with what fills whole MCUs. */
  readonly paddedAcross: number;
  readonly paddedDown: number;
  /** As it was when the component's first scan began; undefined without a scan. */
  quantization: Uint16Array | undefined;
}

export interface Frame {
  readonly coding: Coding;
  readonly process: Process;
  readonly width: number;
  readonly height: number;
  readonly components: readonly Component[];
  /** The largest sampling factors. */
  readonly across: number;
  readonly down: number;
  /** Size in MCUs of a scan of all components. */
  readonly mcusAcross: number;
  readonly mcusDown: number;
}

export interface ScanComponent {
  readonly component: Component;
  readonly dcIndex: number;
  readonly acIndex: number;
}

export interface Scan {
  readonly components: readonly ScanComponent[];
  /** First and last zigzag position; of a lossless scan the first is the predictor. */
  readonly first: number;
  readonly last: number;
  /** Bits below those that the scan brings: before it (0: none were brought), and after it. */
  readonly high: number;
  readonly low: number;
}

const KINDS: Readonly<Record<number, readonly [Process, Coding]>> = {
  192: ["sequential", "huffman"],
  193: ["sequential", "huffman"],
  194: ["progressive", "huffman"],
  195: ["lossless", "huffman"],
  201: ["sequential", "arithmetic"],
  202: ["progressive", "arithmetic"],
};

const MAX_SIDE = 65500;
const MAX_BLOCKS_IN_MCU = 10;

/** Undefined for a marker that begins no frame, or one of a kind that nobody decodes. */
export function frameKind(marker: number): readonly [Process, Coding] | undefined {
  return KINDS[marker];
}

export function readFrame(stream: JpegStream, [process, coding]: readonly [Process, Coding]): Frame {
  const length = stream.word();
  const precision = stream.byte();
  const height = stream.word();
  const width = stream.word();
  const count = stream.byte();
  if (width === 0 || height === 0 || count === 0) throw new Unreadable("the picture is empty");
  if (length !== 8 + 3 * count) throw new Unreadable("the frame header has a wrong length");
  if (precision !== 8) throw new Unreadable(`samples of ${precision} bits are not supported`);
  if (width > MAX_SIDE || height > MAX_SIDE) throw new Unreadable(`a side is longer than ${MAX_SIDE}`);
  const specs = Array.from({ length: count }, () => {
    const id = stream.byte();
    const factors = stream.byte();
    return { id, across: factors >> 4, down: factors & 15, quantizationIndex: stream.byte() };
  });
  for (const { across, down } of specs) {
    if (across < 1 || across > 4 || down < 1 || down > 4)
      throw new Unreadable("a sampling factor is not 1 to 4");
  }
  const across = Math.max(...specs.map((spec) => spec.across));
  const down = Math.max(...specs.map((spec) => spec.down));
  const unit = process === "lossless" ? 1 : 8;
  const components = specs.map((spec): Component => {
    const blocksAcross = Math.ceil((width * spec.across) / (across * unit));
    const blocksDown = Math.ceil((height * spec.down) / (down * unit));
    return {
      ...spec,
      width: Math.ceil((width * spec.across) / across),
      height: Math.ceil((height * spec.down) / down),
      blocksAcross,
      blocksDown,
      paddedAcross: Math.ceil(blocksAcross / spec.across) * spec.across,
      paddedDown: Math.ceil(blocksDown / spec.down) * spec.down,
      quantization: undefined,
    };
  });
  const mcusAcross = Math.ceil(width / (across * unit));
  const mcusDown = Math.ceil(height / (down * unit));
  return { coding, process, width, height, components, across, down, mcusAcross, mcusDown };
}

export function readScan(stream: JpegStream, frame: Frame): Scan {
  const length = stream.word();
  const count = stream.byte();
  if (length !== 6 + 2 * count || count < 1 || count > 4)
    throw new Unreadable("the scan header has a wrong length");
  const components: ScanComponent[] = [];
  for (let i = 0; i < count; i++) {
    const id = stream.byte();
    const tables = stream.byte();
    // A scan names components in the frame's order.
    const component = frame.components.find((candidate, place) => candidate.id === id && place >= i);
    if (!component || components.some((other) => other.component === component)) {
      throw new Unreadable("a scan names a component that is not there");
    }
    components.push({ component, dcIndex: tables >> 4, acIndex: tables & 15 });
  }
  const blocks = components.reduce((sum, { component: { across, down } }) => sum + across * down, 0);
  if (count > 1 && blocks > MAX_BLOCKS_IN_MCU) throw new Unreadable("an MCU has too many blocks");
  const first = stream.byte();
  const last = stream.byte();
  const bits = stream.byte();
  return { components, first, last, high: bits >> 4, low: bits & 15 };
}

/** The quantization tables may change from scan to scan: the one at a component's first scan holds. */
export function keepQuantization({ components }: Scan, { quantization }: Tables): void {
  for (const { component } of components) {
    component.quantization ??= quantization[component.quantizationIndex]?.slice();
    if (!component.quantization) throw new Unreadable("a quantization table is missing");
  }
}

/** @throws for a scan that a progressive picture can not have */
export function checkProgression({ components, first, last, high, low }: Scan): void {
  const isBand = first === 0 ? last === 0 : last >= first && last < 64 && components.length === 1;
  if (!isBand || (high !== 0 && low !== high - 1) || low > 13) {
    throw new Unreadable("a scan's progression parameters make no sense");
  }
}
