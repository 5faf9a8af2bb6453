/** Routes as declarations: a call's name, its address, who may call it, what it counts for, how its body is read, and what it does. */
import type { Request, Response } from "express";
import { z } from "zod";
import type { Caller } from "../caller.ts";
import type { FormCallName } from "../contract/form-fields.ts";
import type { Db } from "../db/client.ts";
import type { Role } from "../db/roles.ts";
import type { Answers } from "./answer-declarations.ts";
import { callerOf } from "./caller-of.ts";
import type { RequestHeader } from "./openapi/headers.ts";
import { parseBody, parseQuery } from "./parse-request.ts";
import { requireOwnWorker } from "./require-own-worker.ts";

/** Who may make a call: anybody, or named keys with one of these roles. An admin's key and `RUNTIME_API_KEY` may make every call. */
export type Access = "anybody" | Exclude<Role, "admin">[];

/** The settings that hold a key for one call. */
export type OwnKey = "METRICS_KEY";

/** The kinds of access that most calls have. */
export const ADMINS: Access = [];
export const READERS: Access = ["read", "submit"];
export const WORKERS: Access = ["work"];

/** Which limits a call counts for (rate-limits.ts). */
export type Limit = "requests" | "worker calls" | "connection tests" | "none";

/** How a call's body is read: JSON of up to 100 KB, JSON of up to `MAX_BODY_MB`, not at all, or by the call itself. */
export type BodyKind = "short" | "long" | "none" | "raw";

/** The declaration of a call: its policy, and what documents say of it. */
export interface RouteFacts {
  /** The name of the call in logs and documents. */
  name: string;
  method: "get" | "post" | "put" | "patch" | "delete";
  /** The path, its parameters written as Express does: `/workers/:id`. */
  path: string;
  access: Access;
  /** The setting whose value opens this call too, as a bearer token or in `X-Runtime-API-Key`. */
  ownKey?: OwnKey;
  /** Which limit counts the call: "requests" where this is left out. */
  limit?: Limit;
  /** How the body is read; where this is left out, "none" for a GET, and otherwise "short". */
  body?: BodyKind;
  /** The call may also be made without JSON, with the fields of this name (form-or-text-body.ts). */
  form?: FormCallName;
  /**
   * The call is refused while the disk is nearly full (refuse-when-disk-full.ts). Completions are not refused: they are the last calls that may
   * fail.
   */
  storesNewWork?: true;
  /** Monitors make the call every few seconds. It makes no span unless the request has a `traceparent`. */
  isProbe?: true;
  /** What the body and the query are checked by. */
  schema?: z.ZodType;
  query?: z.ZodObject;
  /** What the call does, in a few words. */
  summary: string;
  /** More about the call, where its fields and answers do not say enough. */
  description?: string;
  /** The headers that the call reads, beside those that every call reads. */
  headers?: readonly RequestHeader[];
  /** The answers of this call, without the refusals that calls of its kind share. */
  answers: Answers;
}

/** One request to a call, as its handler gets it. */
export interface Call<Path extends string, Schema extends z.ZodType, Query extends z.ZodObject> {
  request: Request;
  response: Response;
  db: Db;
  /** Who calls, for the audit entries and the log lines about this call. */
  caller: Caller;
  params: Params<Path>;
  /** The body, or another one in its place, checked by the route's schema. Throws InvalidBody. */
  body(given?: { body: unknown }): z.output<Schema>;
  /** The query, checked by the route's schema. Throws InvalidValue. */
  query(): z.output<Query>;
}

/** A declared route. Only `mountRoutes` makes routes reachable. */
export interface Route extends RouteFacts {
  serve(request: Request, response: Response, db: Db): unknown;
}

type Params<Path extends string> = Path extends `${string}:${infer Name}/${infer Rest}`
  ? Record<Name, string> & Params<Rest>
  : Path extends `${string}:${infer Name}`
    ? Record<Name, string>
    : unknown;

const NO_QUERY = z.object({});

/**
 * Declares a route. `handle` answers the call; what it throws, `errorHandler` answers. `ofWorker` gives the worker that the call is about, where a
 * worker's key may make it for no other one.
 */
export function route<
  const Path extends string,
  Schema extends z.ZodType = z.ZodUnknown,
  Query extends z.ZodObject = typeof NO_QUERY,
>({
  handle,
  ofWorker,
  ...facts
}: RouteFacts & {
  path: Path;
  schema?: Schema;
  query?: Query;
  handle(call: Call<Path, Schema, Query>): unknown;
  ofWorker?(call: Call<Path, Schema, Query>): string | undefined;
}): Route {
  const { schema, query } = facts;
  return {
    ...facts,
    serve: (request, response, db) => {
      const check = (body: unknown) => parseBody((schema ?? z.unknown()) as Schema, body);
      // `ofWorker` and `handle` may both ask for the request's own body, which is checked once. Its checked value may be undefined.
      let own: { checked: z.output<Schema> } | undefined;
      const call: Call<Path, Schema, Query> = {
        request,
        response,
        db,
        caller: callerOf(response),
        // Express gives the parameters that the path names.
        params: request.params as Params<Path>,
        body: (given) => {
          if (given) return check(given.body);
          own ??= { checked: check(request.body) };
          return own.checked;
        },
        query: () => parseQuery((query ?? NO_QUERY) as Query, request),
      };
      if (ofWorker) requireOwnWorker(call.caller, () => ofWorker(call));
      return handle(call);
    },
  };
}
