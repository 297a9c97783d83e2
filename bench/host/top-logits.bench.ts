/** The largest logits of the first token, picked on the JavaScript thread before it is handed out. */
import { topLogits } from "../../src/serving/top-logits.ts";
import { fastest, noise, row } from "../kernels.ts";

const logits = noise(151_552);
console.log(row("", "processor ms"));
console.log(row("10 of 151552 logits", 1000 * (await fastest("top logits", () => topLogits(logits, 10)))));
