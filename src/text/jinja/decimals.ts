/** A float's exact decimal digits, rounded half to even, as C and Python print them. */

/** A finite value as mantissa * 2^exponent. */
export function partsOf(value: number): { mantissa: bigint; exponent: number } {
  const bits = new DataView(new ArrayBuffer(8));
  bits.setFloat64(0, value);
  const raw = bits.getBigUint64(0);
  const power = Number((raw >> 52n) & 0x7ffn);
  const fraction = raw & 0xfffffffffffffn;
  return power === 0
    ? { mantissa: fraction, exponent: -1074 }
    : { mantissa: fraction | 0x10000000000000n, exponent: power - 1075 };
}

/** round(|value| * 10^places), ties to even. */
export function scaled(value: number, places: number): bigint {
  const { mantissa, exponent } = partsOf(Math.abs(value));
  let [top, bottom] = [mantissa, 1n];
  if (exponent >= 0) top <<= BigInt(exponent);
  else bottom <<= BigInt(-exponent);
  if (places >= 0) top *= 10n ** BigInt(places);
  else bottom *= 10n ** BigInt(-places);
  return divideToEven(top, bottom);
}

/** The quotient of two numbers that are not negative, rounded half to even. */
export function divideToEven(top: bigint, bottom: bigint): bigint {
  const quotient = top / bottom;
  const twice = (top % bottom) * 2n;
  return twice > bottom || (twice === bottom && quotient % 2n === 1n) ? quotient + 1n : quotient;
}

/** "%.{places}f" of |value|. */
export function fixed(value: number, places: number): string {
  const digits = scaled(value, places)
    .toString()
    .padStart(places + 1, "0");
  const point = digits.length - places;
  return places === 0 ? digits : `${digits.slice(0, point)}.${digits.slice(point)}`;
}

/** |value| rounded to `places` + 1 digits, the first of them before the point, and the power of ten. */
export function exponential(value: number, places: number): { digits: string; exponent: number } {
  if (value === 0) return { digits: "0".repeat(places + 1), exponent: 0 };
  let exponent = Number(/e([+-]\d+)$/.exec(value.toExponential())?.[1]);
  let digits = scaled(value, places - exponent).toString();
  // 9.99 may have become 10.0.
  if (digits.length > places + 1) {
    exponent += 1;
    digits = scaled(value, places - exponent).toString();
  }
  return { digits, exponent };
}
