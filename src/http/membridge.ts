import { type Request, type Response, Router } from "express";
import { text } from "../contract/fields.ts";
import * as requests from "../contract/requests.ts";
import { errorTextOf, selectLeader } from "../fleet/leadership.ts";
import { type Membridge, MembridgeUnreachable } from "../fleet/membridge.ts";
import type { MembridgeAnswer } from "../fleet/membridge-attempt.ts";
import type { DbFor } from "./callers.ts";
import { goneSignal } from "./gone.ts";
import { bodyOf, InvalidValue } from "./input.ts";

/** How an answer of Membridge that says it failed is passed on: its status and its error text, unless told otherwise. */
interface Failure {
  status?: number;
  text?: (answer: MembridgeAnswer) => string;
}

/** `/api/membridge`: the control plane, called with the admin key that clients never see. */
export function membridgeRoutes(dbFor: DbFor, membridge: Membridge): Router {
  const router = Router();

  router.get("/health", (_request, response) =>
    relay(response, (signal) => membridge.call(["health"], { retries: 1, signal }), { status: 502 }),
  );

  router.get("/projects", (_request, response) =>
    relay(response, (signal) => membridge.call(["projects"], { signal }), { status: 502 }),
  );

  for (const part of ["leadership", "nodes"])
    router.get(`/projects/:cid/${part}`, ({ params }: Request<{ cid: string }>, response) => {
      const path = ["projects", projectId(params.cid), part];
      return relay(response, (signal) => membridge.call(path, { signal }));
    });

  router.post("/projects/:cid/leadership/select", (request, response) => {
    const body = bodyOf(requests.selectLeadership, request);
    const cid = projectId(request.params.cid);
    // Not given up: it may have been done already, and is to be written down then.
    return relay(response, () => selectLeader(dbFor(response), membridge, cid, body), { text: errorTextOf });
  });

  return router;
}

/** Passes the answer's JSON on. No answer is a 502. A client that goes away takes its call with it. */
async function relay(
  response: Response,
  call: (signal: AbortSignal) => Promise<MembridgeAnswer>,
  failure: Failure = {},
): Promise<void> {
  const gone = goneSignal(response);
  try {
    const answer = await call(gone);
    if (answer.status < 400) response.json(answer.json);
    else
      response
        .status(failure.status ?? answer.status)
        .json({ error: failure.text?.(answer) ?? `Membridge returned ${answer.status}` });
  } catch (error) {
    if (gone.aborted) return;
    if (!(error instanceof MembridgeUnreachable)) throw error;
    response.status(502).json({ error: error.message });
  }
}

/** A project's id becomes one segment of a path; a dot segment would be resolved away, whatever its encoding. */
function projectId(cid: string): string {
  if (cid === "." || cid === ".." || !text(256).safeParse(cid).success)
    throw new InvalidValue("The project id is not valid: it has at most 256 characters and is no dot segment.");
  return cid;
}
