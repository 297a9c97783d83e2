/** Whether the server answers: for load balancers and those who start it. */
import type { ServerContext } from "../context.ts";
import { newRoutes, type Routes } from "./routes.ts";

export function healthRoutes({ model }: ServerContext): Routes {
  return newRoutes().get("/health", () => {
    // Throws when the model was unloaded.
    model.stats();
    return new Response(null, { status: 200 });
  });
}
