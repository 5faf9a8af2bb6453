import { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { Writable } from "node:stream";
import type { Request, Response } from "express";
import type { Db } from "../../db/client.ts";
import { requireRole } from "../auth.ts";
import { callerOf } from "../caller-of.ts";
import { errorHandler } from "../error-answers.ts";
import type { Route } from "../route.ts";
import type { CallInput } from "./arguments.ts";

/** What a call answered. */
export interface RouteAnswer {
  status: number;
  /** Undefined where there is none. */
  header(name: string): string | undefined;
  /** The body, read as JSON. */
  body: unknown;
}

/** The request in which another call is made. */
export interface OuterCall {
  request: Request;
  response: Response;
  db: Db;
  /** Aborted when the client goes away. */
  gone: AbortSignal;
}

/**
 * Makes another call of the service on behalf of the request's caller, who needs a key for it as on that call's own address. What the call throws
 * is its answer, as for every client. Rejects when the client goes away before the call has answered.
 */
export async function callRoute(
  route: Route,
  input: CallInput,
  { request, response, db, gone }: OuterCall,
): Promise<RouteAnswer> {
  const inner = innerRequest(request, route, input);
  const { answer, ended } = innerAnswer(inner, response, gone);
  try {
    const { key } = callerOf(response);
    if (key && route.access !== "anybody") requireRole(key.role, route.access);
    await route.serve(inner, answer, db);
  } catch (error) {
    errorHandler(db.log)(error, inner, answer, () => {});
  }
  const text = await ended;
  return {
    status: answer.statusCode,
    header: (name) => answer.getHeader(name)?.toString(),
    body: JSON.parse(text),
  };
}

/** The request of the inner call: the client and its connection are those of `outer`; address, headers and body are its own. */
function innerRequest(outer: Request, { method, path }: Route, { params, query, body }: CallInput): Request {
  const inPath = path.replace(/:(\w+)/g, (_, name: string) => encodeURIComponent(params[name] ?? ""));
  const search = new URLSearchParams(query).toString();
  const url = search === "" ? inPath : `${inPath}?${search}`;
  const own = { method: method.toUpperCase(), url, originalUrl: url, headers: {}, params, query, body };
  const descriptors = Object.entries(own).map(([name, value]) => [name, { value, writable: true, configurable: true }]);
  return Object.create(outer, Object.fromEntries(descriptors));
}

/** An answer that is kept in memory. `ended` gives its text when it is whole. */
function innerAnswer(inner: Request, outer: Response, gone: AbortSignal): { answer: Response; ended: Promise<string> } {
  // Express gives its methods to an answer by its prototype.
  const answer: Response = Object.setPrototypeOf(new ServerResponse(inner), Object.getPrototypeOf(outer));
  answer.locals = { ...outer.locals };
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  answer.assignSocket(nowhere as Socket);
  const chunks: Buffer[] = [];
  const keep = (chunk: unknown) => {
    if (typeof chunk === "string" || chunk instanceof Uint8Array) chunks.push(Buffer.from(chunk));
  };
  const end = answer.end.bind(answer);
  answer.write = (chunk: unknown) => {
    keep(chunk);
    return true;
  };
  answer.end = (chunk?: unknown) => {
    keep(chunk);
    return end();
  };
  const cutOff = () => nowhere.destroy();
  gone.addEventListener("abort", cutOff);
  const ended = new Promise<string>((resolve, reject) => {
    answer.once("finish", () => resolve(Buffer.concat(chunks).toString()));
    answer.once("close", () => reject(new Error("The answer of a call was not whole.")));
  }).finally(() => gone.removeEventListener("abort", cutOff));
  // A call that fails before it waits for this must not end the process.
  ended.catch(() => {});
  return { answer, ended };
}
