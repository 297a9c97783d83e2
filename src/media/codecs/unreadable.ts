/** A picture that can not be decoded. The message says why, as the end of a sentence without its full stop. */
export class Unreadable extends Error {}
