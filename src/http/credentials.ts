/** A name and a password in an address: fetch refuses them there, and messages would show them. */

import { percentDecoded } from "./percent.ts";

/** Takes them out of `url`. @returns a value for Authorization, which is for this origin alone; null without any */
export function takeCredentials(url: URL): string | null {
  const { username, password } = url;
  url.username = "";
  url.password = "";
  if (username === "" && password === "") return null;
  const bytes = new TextEncoder().encode(`${percentDecoded(username)}:${percentDecoded(password)}`);
  return `Basic ${btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""))}`;
}
