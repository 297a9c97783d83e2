/** Whether the host's products of bytes are right. */

const LANES = [0, 1, 2, 3, 4, 5, 6, 7];
const left = (i: number) => (i % 2 ? -100 : 3 + i);
const right = (i: number) => 7 + i;
const sum = (i: number) => left(2 * i) * right(2 * i) + left(2 * i + 1) * right(2 * i + 1);

/** (v128.const ...) */
const constant = (bytes: readonly number[]) => [0xfd, 0x0c, ...bytes.map((byte) => byte & 0xff)];
const bytesOf = (value: (i: number) => number) => constant([...LANES, ...LANES.map((i) => i + 8)].map(value));
const CODE = [
  0x00,
  ...bytesOf(left),
  ...bytesOf(right),
  // i16x8.relaxed_dot_i8x16_i7x16_s
  ...[0xfd, 0x92, 0x02],
  ...constant(LANES.flatMap((i) => [sum(i), sum(i) >> 8])),
  // i16x8.eq, i16x8.all_true
  ...[0xfd, 0x2d, 0xfd, 0x83, 0x01],
  0x0b,
];
/** (func (export "isRight") (result i32) ...) */
const MODULE = Uint8Array.of(
  ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
  ...[0x01, 0x05, 0x01, 0x60, 0x00, 0x01, 0x7f],
  ...[0x03, 0x02, 0x01, 0x00],
  ...[0x07, 0x0b, 0x01, 0x07, ...new TextEncoder().encode("isRight"), 0x00, 0x00],
  ...[0x0a, CODE.length + 2, 0x01, CODE.length, ...CODE],
);

let known: boolean | undefined;

/**
 * False where i16x8.relaxed_dot_i8x16_i7x16_s gives wrong sums of bytes of 7 bits. V8's baseline compiler, with which all code begins,
 * overwrites an operand on x86 without AVX (V8 11.3 to 13.6 at least). True too where the host does not have the instruction, or
 * compiles nothing at run time.
 */
export function isRelaxedDotRight(): boolean {
  known ??= look();
  return known;
}

function look(): boolean {
  if (!WebAssembly.validate(MODULE)) return true;
  let instance: WebAssembly.Instance;
  try {
    instance = new WebAssembly.Instance(new WebAssembly.Module(MODULE));
  } catch {
    return true;
  }
  return (instance.exports.isRight as () => number)() === 1;
}
