/** How the processes of a group that is in several of them reach one another. */
import type { RunMail } from "./run-mail.ts";
import type { GroupShape } from "./shape.ts";

export interface GroupLink {
  /** Which of the processes this one is, and how many there are; each has as many neighbouring ranks of the group. */
  readonly index: number;
  readonly count: number;
  /** It is one model's from now on, which closes it. @throws OPTION_INVALID when it was another's */
  take(): void;
  /**
   * Mail whose letters go to the ranks of other processes too. All processes open theirs in one order, by which letters
   * find the mail that they are for.
   */
  openMail(shape: GroupShape): RunMail;
  /** Nobody reads it any more. */
  closeMail(mail: RunMail): void;
  /** Tells the others that something goes on here. */
  alive(): void;
  /** Whom to tell that something goes on elsewhere, and that a process is lost. */
  watch(onAlive: () => void, onLost: (error: Error) => void): void;
  close(): void;
}

/** The process that has a rank. */
export function processOf(rank: number, ranks: number, { count }: Pick<GroupLink, "count">): number {
  return Math.floor(rank / (ranks / count));
}
