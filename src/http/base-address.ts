/** What relative addresses are relative to. */

let given: string | undefined;

/** For a worker of the SDK's: the address of the page that asks, which its own says nothing of. */
export function setBaseAddress(address: string): void {
  given = address;
}

/** The page's, or that of a worker's script; undefined where there is neither. */
export function baseAddress(): string | undefined {
  const { document, location } = globalThis as {
    readonly document?: { readonly baseURI?: string };
    readonly location?: { readonly href?: string };
  };
  return given ?? document?.baseURI ?? location?.href;
}
