import type { Response } from "express";
import { text } from "../contract/request-fields.ts";
import * as requests from "../contract/requests.ts";
import { passedOn } from "../contract/service-answers.ts";
import { type Membridge, MembridgeUnreachable } from "../fleet/membridge.ts";
import type { MembridgeAnswer } from "../fleet/membridge-attempt.ts";
import { errorTextOf, selectLeader } from "../fleet/select-membridge-leader.ts";
import type { Answers } from "./answer-declarations.ts";
import { clientGone } from "./client-gone.ts";
import { InvalidValue } from "./parse-request.ts";
import { ADMINS, READERS, type Route, route } from "./route.ts";

/** How an error of Membridge is passed on: with its own status and a general text, where nothing else is given here. */
interface Failure {
  status?: number;
  text?: (answer: MembridgeAnswer) => string;
}

const ANSWERED: Answers = {
  200: { means: "Membridge's answer.", json: passedOn },
  502: "Membridge cannot be reached.",
};
const OWN_STATUS = "Membridge refused, with this status.";

const NAMES = { leadership: "getLeadership", nodes: "listNodes" };
const READS = ["leadership", "nodes"] as const;

/** `/api/membridge`: the control plane, called with the admin key that clients never see. */
export function membridgeRoutes(membridge: Membridge): Route[] {
  return [
    route({
      name: "getMembridgeHealth",
      summary: "Ask Membridge how it is",
      method: "get",
      path: "/api/membridge/health",
      access: "anybody",
      answers: ANSWERED,
      handle: ({ response }) =>
        relay(response, (signal) => membridge.call(["health"], { retries: 1, signal }), { status: 502 }),
    }),
    route({
      name: "listMembridgeProjects",
      summary: "List Membridge's projects",
      method: "get",
      path: "/api/membridge/projects",
      access: READERS,
      answers: ANSWERED,
      handle: ({ response }) => relay(response, (signal) => membridge.call(["projects"], { signal }), { status: 502 }),
    }),
    ...READS.map((part) =>
      route({
        name: NAMES[part],
        method: "get",
        path: `/api/membridge/projects/:cid/${part}`,
        access: READERS,
        summary: `Read the ${part} of a project`,
        answers: { ...ANSWERED, default: OWN_STATUS },
        handle: ({ response, params }) => {
          const path = ["projects", projectId(params.cid), part];
          return relay(response, (signal) => membridge.call(path, { signal }));
        },
      }),
    ),
    route({
      name: "selectLeader",
      summary: "Make a node the primary of a project",
      method: "post",
      path: "/api/membridge/projects/:cid/leadership/select",
      access: ADMINS,
      schema: requests.selectLeadershipBody,
      answers: { ...ANSWERED, default: OWN_STATUS },
      handle: ({ response, db, caller, params, body }) => {
        const asked = body();
        const cid = projectId(params.cid);
        // The call goes on when the client goes away: Membridge may have done it already, and then it is audited.
        return relay(response, () => selectLeader(db, caller, membridge, cid, asked), { text: errorTextOf });
      },
    }),
  ];
}

/** Passes the answer's JSON on; no answer is a 502. `call` gets a signal that is aborted when the client goes away. */
async function relay(
  response: Response,
  call: (signal: AbortSignal) => Promise<MembridgeAnswer>,
  failure: Failure = {},
): Promise<void> {
  const gone = clientGone(response);
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
