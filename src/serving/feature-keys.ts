/** What features of an image or video are kept under: they depend on the adapters, and salts do not share them. */

/** @param identity what tells it from all others */
export function featureKey(adapters: string, salt: string, identity: string): string {
  return JSON.stringify([adapters, salt, identity]);
}

/** Of one that has a name, which is to be found by the name alone. */
export function namedFeatureKey(adapters: string, salt: string, uuid: string): string {
  return JSON.stringify([adapters, salt, "uuid", uuid]);
}
