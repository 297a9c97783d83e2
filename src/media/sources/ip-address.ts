/** Which addresses of the internet protocol are public: reached through the internet by whoever is connected to it. */

/** [first address, bits of the prefix] of what is not, by IANA's registries of special-purpose addresses. */
const NOT_PUBLIC_V4: readonly (readonly [string, number])[] = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  // Link-local; clouds answer with a machine's credentials at 169.254.169.254.
  ["169.254.0.0", 16],
  // Azure's, which only its own machines reach.
  ["168.63.129.16", 32],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 3],
];
/** Of 2000::/3, outside of which none is: protocol assignments with Teredo, examples, 6to4. */
const NOT_PUBLIC_V6: readonly (readonly [string, number])[] = [
  ["2001::", 23],
  ["2001:db8::", 32],
  ["2002::", 16],
  ["3fff::", 20],
];
/** Prefixes of 96 bits behind which an IPv4 address stands: mapped, and NAT64's. */
const HOLD_V4 = ["::ffff:0:0", "64:ff9b::"];

/** Of an address as DNS gives it or a URL holds it, with or without brackets; false for what is none. */
export function isPublicAddress(text: string): boolean {
  const address = text.replace(/^\[|\]$/g, "");
  const v4 = parseV4(address);
  if (v4) return !NOT_PUBLIC_V4.some(([prefix, bits]) => startsWith(v4, parseV4(prefix) as Bits, bits));
  const v6 = parseV6(address);
  if (!v6) return false;
  const holdsV4 = HOLD_V4.some((prefix) => startsWith(v6, parseV6(prefix) as Bits, 96));
  if (holdsV4)
    return isPublicAddress(
      v6
        .slice(96)
        .join("")
        .replace(/.{8}/g, (byte) => `${parseInt(byte, 2)}.`)
        .slice(0, -1),
    );
  if (!startsWith(v6, parseV6("2000::") as Bits, 3)) return false;
  return !NOT_PUBLIC_V6.some(([prefix, bits]) => startsWith(v6, parseV6(prefix) as Bits, bits));
}

/** Whether a URL's host is an address and no name. */
export function isAddress(hostname: string): boolean {
  return hostname.startsWith("[") || parseV4(hostname) !== null;
}

/** Names that no public server has, whatever DNS says: those of this machine and of networks inside. */
const INNER_NAME = /^[^.]*$|(^|\.)(localhost|local|internal|intranet|lan|home|corp|private|home\.arpa)$/;

/** Whether a URL's host, a name or an address, may be a public one as far as its letters tell. */
export function mayBePublic(hostname: string): boolean {
  if (isAddress(hostname)) return isPublicAddress(hostname);
  return !INNER_NAME.test(hostname.replace(/\.+$/, ""));
}

/** An address as its bits, each "0" or "1". */
type Bits = readonly string[];

function startsWith(address: Bits, prefix: Bits, bits: number): boolean {
  return prefix.slice(0, bits).every((bit, index) => bit === address[index]);
}

function bitsOf(numbers: readonly number[], width: number): Bits {
  return numbers.flatMap((number) => [...number.toString(2).padStart(width, "0")]);
}

function parseV4(text: string): Bits | null {
  const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)?.slice(1).map(Number);
  return parts?.every((part) => part < 256) ? bitsOf(parts, 8) : null;
}

function parseV6(text: string): Bits | null {
  const address = text.replace(/%.*$/, "");
  const last = address.slice(address.lastIndexOf(":") + 1);
  const v4 = parseV4(last);
  const hex = v4 ? address.slice(0, -last.length) + groupsOf(v4) : address;
  const [head, tail, ...more] = hex.split("::").map((side) => (side === "" ? [] : side.split(":")));
  if (!head || more.length > 0) return null;
  const missing = 8 - head.length - (tail?.length ?? 0);
  if (tail ? missing < 1 : missing !== 0) return null;
  const groups = [...head, ...new Array<string>(missing).fill("0"), ...(tail ?? [])];
  if (!groups.every((group) => /^[\da-f]{1,4}$/i.test(group))) return null;
  return bitsOf(
    groups.map((group) => parseInt(group, 16)),
    16,
  );
}

function groupsOf(v4: Bits): string {
  const group = (from: number) => parseInt(v4.slice(from, from + 16).join(""), 2).toString(16);
  return `${group(0)}:${group(16)}`;
}
