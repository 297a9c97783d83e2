/** glimt/batch: many requests without a server, from files and from queues over Redis. */
export type { AnswerOptions } from "./batch/answer-policy.ts";
export type { RedisConnection } from "./batch/jobs/bullmq.node.ts";
export { type DocumentQueue, openDocuments, type QueueAddress } from "./batch/jobs/document-queue.node.ts";
export type { DocumentRequest, DocumentResult, PageRequest, PageResult } from "./batch/jobs/documents.ts";
export {
  createPageWorker,
  type PageContext,
  type PageTask,
  type PageWorker,
  type PageWorkerOptions,
} from "./batch/jobs/page-worker.node.ts";
export type { BatchProgress } from "./batch/progress.ts";
export { type BatchOptions, runBatch } from "./batch/run-batch.node.ts";
export type { ServedModel } from "./protocols/served-model.ts";
