/** Why a task is in its state, and why a worker has not got it, in the reader's language. */
import type { Cause } from "../../client/index.ts";
import { texts } from "../texts.ts";
import { now } from "../ticking-now.ts";
import { clockText, relativeText, untilText } from "./time.tsx";
import { restText } from "./worker-rest.tsx";

export function causeText({ code, ...cause }: Cause): string {
  const { causes, states } = texts.value;
  const said = cause.said ?? "";
  const reason = cause.kind === undefined ? said : restText(cause.kind, said);
  return causes[code]({
    worker: cause.worker_id ?? "",
    account: cause.account ?? "",
    task: cause.task_id ?? "",
    node: cause.node ?? "",
    labels: cause.labels?.join(", ") ?? "",
    until: untilText(cause.until ?? null),
    at: cause.until === undefined ? "" : `${clockText(cause.until)} (${relativeText(cause.until, now.value)})`,
    since: cause.since === undefined ? "" : clockText(cause.since),
    said,
    sentence: said.replace(/[.\s]*$/, "."),
    reason: reason && `: ${reason}`,
    state: ({ ...states.worker, ...states.task } as Record<string, string>)[cause.state ?? ""] ?? "",
    count: cause.count ?? 0,
    of: cause.of ?? 0,
  });
}
