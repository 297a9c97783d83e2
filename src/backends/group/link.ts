/** How the processes of a group that is in several of them reach one another. */
import type { RunMail } from "./run-mail.ts";
import type { GroupShape } from "./shape.ts";

/** What `joinProcesses` gives, for `parallel.processes`. */
export interface GroupLink {
  /** Which of the processes this one is; each has as many neighbouring ranks of the group. */
  readonly index: number;
  /** How many processes there are. */
  readonly count: number;
  /** It is one model's from now on, which closes it. @throws OPTION_INVALID when it was another's @internal */
  take(): void;
  /**
   * Mail whose letters go to the ranks of other processes too. All processes open theirs in one order, by which letters
   * find the mail that they are for.
   *
   * @internal
   */
  openMail(shape: GroupShape): RunMail;
  /** Nobody reads it any more. @internal */
  closeMail(mail: RunMail): void;
  /** Tells the others that something goes on here. @internal */
  alive(): void;
  /** Whom to tell that something goes on elsewhere, and that a process is lost. @internal */
  watch(onAlive: () => void, onLost: (error: Error) => void): void;
  /** Leaves the others, where no model has taken it. */
  close(): void;
}

/** The process that has a rank. */
export function processOf(rank: number, ranks: number, { count }: Pick<GroupLink, "count">): number {
  return Math.floor(rank / (ranks / count));
}
