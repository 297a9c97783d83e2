/**
 * How the ranks of a device group reach one another while they run a program, for engines whose memory JavaScript reaches.
 * There is one for each rank and run: what a run that fails leaves behind is nothing to the next.
 */
import type { TensorDType } from "../tensor/dtype.ts";

/** What is said of the bytes. Ranks that do not say the same are out of step. */
export interface Parcel {
  /** The collective that they are a part of. */
  readonly kind: string;
  readonly dtype: TensorDType;
  readonly rows: number;
  readonly cols: number;
}

/** Bytes that are handed over are not written to any more, by neither side. */
export interface Communicator {
  /** Of the whole group. */
  readonly rank: number;
  /** The ranks of its tensor group, its own among them, in the order in which all of them add and join. */
  readonly peers: readonly number[];
  /**
   * Gives the bytes to every other rank of the tensor group.
   *
   * @returns those of each of them, its own too, in the order of `peers`
   * @throws GROUP_FAILED when a rank sent something else; what ended the run, when that happens meanwhile
   */
  exchange(parcel: Parcel, bytes: Uint8Array): Promise<readonly Uint8Array[]>;
  /** Does not wait for the other rank, which is any of the group. */
  send(rank: number, parcel: Parcel, bytes: Uint8Array): void;
  /** The next bytes that the other rank sends. @throws as `exchange` */
  receive(rank: number, parcel: Parcel): Promise<Uint8Array>;
}
