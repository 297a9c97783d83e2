/** Why a file that a command was given can not be read, in words. */
import { brokenLink } from "../media/sources/link.node.ts";
import { reasonOf } from "../media/sources/reason.ts";

/** @param thrown by the system. @param kind what it would have been */
export async function unreadableReason(
  file: string,
  thrown: NodeJS.ErrnoException,
  kind = "file",
): Promise<string> {
  if (thrown.code === "ENOENT") return (await brokenLink(file)) ?? `there is no such ${kind}`;
  if (thrown.code === "EISDIR") return "it is a directory";
  return reasonOf(thrown);
}
