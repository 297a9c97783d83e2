/** What a protocol's routes are: handlers that are given the request's scope as `c.env`. */
import { Hono } from "hono/tiny";
import type { RequestScope } from "../request-scope.ts";

export type Routes = Hono<{ Bindings: RequestScope }>;

export function newRoutes(): Routes {
  return new Hono<{ Bindings: RequestScope }>();
}
