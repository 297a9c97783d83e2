/** What the bundler puts in: see build.mjs. */

/** The version in package.json. */
declare const GLIMT_VERSION: string;

/** A source file, bundled into one script: its text. */
declare module "*?text" {
  const text: string;
  export default text;
}
