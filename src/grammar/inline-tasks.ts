/** The tasks for the caller's own thread, loaded when they are needed. */
import type { GrammarTasks } from "./tasks.ts";

export async function inlineTasks(): Promise<GrammarTasks> {
  const { grammarTasks } = await import("./tasks.ts");
  return grammarTasks();
}
