/** The order in which a scan's data brings its blocks. */

import type { EntropyDecoder } from "./entropy.ts";
import type { Frame, Scan } from "./frame.ts";

/** Takes block (column, row) of the scan's component number `index`. */
export type BlockVisitor = (index: number, column: number, row: number) => void;

/** How many blocks a scan brings. */
export function blocksOf({ components }: Scan, { mcusAcross, mcusDown }: Frame): number {
  const [only] = components;
  if (components.length === 1 && only) return only.component.blocksAcross * only.component.blocksDown;
  const perMcu = components.reduce((sum, { component: { across, down } }) => sum + across * down, 0);
  return perMcu * mcusAcross * mcusDown;
}

/**
 * Visits the blocks for which there is data, MCU by MCU: of one component block by block, of several as many of each
 * as its sampling factors say, padding included.
 *
 * @param restartInterval in MCUs; 0 without restarts
 * @returns the last row of MCUs (of the frame) that was begun with data
 */
export function walkScan(
  scan: Scan,
  frame: Frame,
  restartInterval: number,
  decoder: EntropyDecoder,
  visit: BlockVisitor,
): number {
  const [only] = scan.components;
  const isAlone = scan.components.length === 1 && only !== undefined;
  const columns = isAlone ? only.component.blocksAcross : frame.mcusAcross;
  const rows = isAlone ? only.component.blocksDown : frame.mcusDown;
  const rowsPerMcu = isAlone ? only.component.down : 1;
  let lastGoodRow = 0;
  let untilRestart = restartInterval;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      if (!decoder.isExhausted) lastGoodRow = Math.floor(row / rowsPerMcu);
      if (restartInterval > 0 && untilRestart === 0) {
        decoder.restart();
        untilRestart = restartInterval;
      }
      untilRestart -= 1;
      if (decoder.isExhausted) {
        if (restartInterval === 0) return lastGoodRow;
        continue;
      }
      if (isAlone) {
        visit(0, column, row);
      } else {
        for (let i = 0; i < scan.components.length; i++) {
          const { across, down } = (scan.components[i] as (typeof scan.components)[number]).component;
          for (let y = row * down; y < (row + 1) * down; y++) {
            for (let x = column * across; x < (column + 1) * across; x++) visit(i, x, y);
          }
        }
      }
      decoder.endMcu();
    }
  }
  return lastGoodRow;
}
