/** A worker whose tasks are as bad as a file can make a parser. */
import { limitCollections } from "../../src/workers/limit-collections.ts";
import { ownPort } from "../../src/workers/port.ts";
import { serveTasks } from "../../src/workers/serve.ts";
import { badTasks } from "./bad-tasks.ts";

limitCollections();
ownPort().then((port) => serveTasks(port, badTasks, "test"));
