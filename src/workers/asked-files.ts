/**
 * Files of the package in the script of a worker, which would be several times as large with them: they are asked of the
 * thread that started it.
 */

import { type FileAsk, type FileReply, unpackError } from "./messages.ts";

interface Asked {
  resolve(file: unknown): void;
  reject(error: Error): void;
}

const asked = new Map<number, Asked>();
let lastAsked = 0;
let post: (ask: FileAsk) => void = () => {
  throw new Error("this thread was started by nobody who could be asked for files");
};

/** @param toStarter posts to the thread that started this one, whose replies `hearFile` is given */
export function askFilesOf(toStarter: (ask: FileAsk) => void): void {
  post = toStarter;
}

/** @throws what its starter does where it can not be had */
export function askedFile(name: string): Promise<unknown> {
  lastAsked += 1;
  const id = lastAsked;
  return new Promise((resolve, reject) => {
    post({ asked: id, file: name });
    asked.set(id, { resolve, reject });
  });
}

export function hearFile(reply: FileReply): void {
  const waiting = asked.get(reply.asked);
  asked.delete(reply.asked);
  if ("error" in reply) waiting?.reject(unpackError(reply.error));
  else waiting?.resolve(reply.result);
}
