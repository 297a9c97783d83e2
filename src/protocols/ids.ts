/** Names for answers that no other has. */

/** @param prefix such as "chatcmpl-" */
export function newId(prefix: string): string {
  return prefix + crypto.randomUUID().replaceAll("-", "");
}
