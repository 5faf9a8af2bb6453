import {
  type ErrorRequestHandler,
  type NextFunction,
  type Request,
  type RequestHandler,
  type Response,
  Router,
} from "express";
import type { Db } from "../db/client.ts";
import type { FormOrTextBody } from "./form-or-text-body.ts";
import type { BodyReader } from "./json-body.ts";
import { shortBody } from "./json-body.ts";
import { type Access, ADMINS, type BodyKind, type Limit, type OwnKey, READERS, type Route } from "./route.ts";

/** Makes the handlers that stand before a route from its declaration. */
export interface Guards {
  limits(limit: Limit): RequestHandler[];
  requireKey(access: Access, ownKey?: OwnKey): RequestHandler;
  longBody: BodyReader;
  formOrTextBody: FormOrTextBody;
}

declare global {
  namespace Express {
    interface Locals {
      /** The name of the route; undefined for an address that has none. */
      route?: string;
      /** The route is declared as a probe. */
      isProbe?: true;
      /** The name of the tool that a message of the Model Context Protocol uses. */
      tool?: string;
    }
  }
}

/**
 * Mounts the routes in their order, each behind its limits, its key and the reader of its body. Below `prefixes`, an address without a route
 * asks for a key as well, so that a stranger does not learn which there are. Throws where two routes have one address.
 */
export function mountRoutes(app: Router, routes: Route[], db: Db, prefixes: string[], guards: Guards): void {
  // A separate router for these routes answers OPTIONS with the methods that an address has.
  const router = Router();
  const addresses = new Set<string>();
  for (const route of routes) {
    const { name, method, path, access, limit = "requests" } = route;
    const address = `${method} ${path}`;
    if (addresses.has(address)) throw new Error(`Two routes have the address ${address}.`);
    addresses.add(address);
    const noteRoute: RequestHandler = (_request, response, next) => {
      response.locals.route = name;
      if (route.isProbe) response.locals.isProbe = true;
      next();
    };
    const serve = (request: Request, response: Response) => route.serve(request, response, db);
    router[method](
      path,
      noteRoute,
      ...guards.limits(limit),
      guards.requireKey(access, route.ownKey),
      ...readersOf(route, guards),
      serve,
    );
  }
  const strangers = Router().use(...guards.limits("requests"), requireSomeKey(guards));
  // An address that cannot be decoded fails before any route is entered, and so before any limit and any check of a key.
  const undecoded: ErrorRequestHandler = (error, request, response, next) => {
    if (response.locals.route !== undefined) return next(error);
    strangers(request, response, (refusal) => next(refusal ?? error));
  };
  app.use(router.use(prefixes, undecoded, strangers));
}

function readersOf({ method, body = method === "get" ? "none" : "short", form }: Route, guards: Guards) {
  const json: Record<BodyKind, BodyReader[]> = { none: [], raw: [], short: [shortBody], long: [guards.longBody] };
  return form === undefined ? json[body] : [guards.formOrTextBody(form), ...json[body]];
}

/**
 * For addresses without a route: a key that may read is told 404 for a GET, and an admin's key for every method. Others are refused as on
 * any call.
 */
function requireSomeKey(guards: Guards): RequestHandler {
  const [toRead, toDo] = [guards.requireKey(READERS), guards.requireKey(ADMINS)];
  return (request: Request, response: Response, next: NextFunction) =>
    (request.method === "GET" || request.method === "HEAD" ? toRead : toDo)(request, response, next);
}
