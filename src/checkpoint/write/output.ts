/** Where a checkpoint is written to. */

export interface OutputFile {
  /** All of `bytes`, from `position` on. */
  write(position: number, bytes: Uint8Array): Promise<void>;
  /** Once it is all there. */
  close(): Promise<void>;
}

/** A folder that appears as a whole, or not at all. */
export interface OutputFolder {
  /** As messages name it. */
  readonly location: string;
  create(name: string): Promise<OutputFile>;
  /** It is complete: puts it in its place. */
  finish(): Promise<void>;
  /** Removes what was written. */
  discard(): Promise<void>;
}

export interface OutputOptions {
  /** A folder that must not be written into: where the source lies, if that is a folder. */
  readonly source: string;
  /** What will be written in all. */
  readonly bytes: number;
  /** Whether the files of a checkpoint that is there may be replaced. */
  readonly force: boolean;
}

/** @throws OPTION_INVALID when it must not be written to, OUTPUT_FAILED when it can not */
export type OpenOutput = (path: string, options: OutputOptions) => Promise<OutputFolder>;
