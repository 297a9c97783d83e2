/** What runs in the worker that models live in, in Node: it lies beside index.ts, of whose chunks it is made. */
import { loadModelOn } from "./api/load-model.ts";
import { nodePlatform } from "./node-engine.ts";
import { modelTasks } from "./remote/serve-models.ts";
import { ownPort } from "./workers/port.ts";
import { serveTasks } from "./workers/serve.ts";

const models = modelTasks((location, options) => loadModelOn(nodePlatform, location, options));

ownPort().then((port) => serveTasks(port, models, GLIMT_VERSION));
