/** What those who run servers ask: figures for Prometheus, how busy it is, which version. */
import type { ServerContext } from "../context.ts";
import { METRICS_TYPE, metricsText } from "../metrics/families.ts";
import { modelMetrics } from "../metrics/model-metrics.ts";
import { RequestMetrics } from "../metrics/request-metrics.ts";
import { newRoutes, type Routes } from "./routes.ts";

export function monitoringRoutes({ model, names, admission, observers }: ServerContext): Routes {
  const requests = new RequestMetrics();
  observers.push((asked, name) => requests.observe(asked, name));
  const families = [...modelMetrics(model, names.first, () => admission.waiting), ...requests.families];
  const routes = newRoutes();
  routes.get(
    "/metrics",
    () => new Response(metricsText(families), { headers: { "content-type": METRICS_TYPE } }),
  );
  routes.get("/version", ({ env: scope }) => scope.reply({ version: GLIMT_VERSION }));
  routes.get("/load", ({ env: scope }) =>
    scope.reply({ server_load: admission.running + admission.waiting }),
  );
  return routes;
}
