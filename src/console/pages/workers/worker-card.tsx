import type { Worker } from "../../../client/index.ts";
import { confirm } from "../../parts/confirm.tsx";
import { WorkerStateOf } from "../../parts/state.tsx";
import { Ago, At } from "../../parts/time.tsx";
import { addressOf } from "../../router.ts";
import { client, may } from "../../session.ts";
import { numberText, texts } from "../../texts.ts";
import { askDrain } from "./drain.tsx";

export interface WorkerCardProps {
  worker: Worker;
  change(call: Promise<unknown>): void;
}

/** A worker with all that decides whether it gets work. */
export function WorkerCard({ worker, change }: WorkerCardProps) {
  const words = texts.value.workers;
  const { id, capabilities, active_leases, account, last_heartbeat, agent_version, os_info, drain, rest, answered_by } =
    worker;
  const stopped = drain ?? rest ?? worker.account_rest;
  const isResumable = drain !== null || rest !== null;
  return (
    <section class="card" aria-label={id}>
      <div class="head">
        <h2>{id}</h2>
        <WorkerStateOf worker={worker} />
      </div>
      {stopped && (
        <p class="wait">
          {stopped.reason || words.drained} {stopped.until === null ? words.untilResumed : <At at={stopped.until} />}
        </p>
      )}
      {answered_by !== null && <p class="bad">{words.answeredBy(answered_by)}</p>}
      <dl class="facts">
        <div>
          <dt>{words.slots}</dt>
          <dd>
            <a href={addressOf("tasks", undefined, { worker_id: id, status: "leased,running" })}>
              {words.slotsOf(numberText(active_leases), numberText(capabilities.max_concurrency))}
            </a>
          </dd>
        </div>
        <div>
          <dt>{words.account}</dt>
          <dd>{account}</dd>
        </div>
        <div>
          <dt>{words.lastSeen}</dt>
          <dd>{last_heartbeat === null ? words.never : <Ago at={last_heartbeat} />}</dd>
        </div>
        <div>
          <dt>{words.version}</dt>
          <dd>{[agent_version, os_info].filter(Boolean).join(", ") || "–"}</dd>
        </div>
      </dl>
      {capabilities.labels.length > 0 && (
        <ul class="row" aria-label={words.labels}>
          {capabilities.labels.map((label) => (
            <li key={label} class="tag">
              {label}
            </li>
          ))}
        </ul>
      )}
      {may("administer") && (
        <div class="buttons">
          {isResumable ? (
            <button type="button" onClick={() => change(client.resumeWorker({ id }))}>
              {words.resume}
            </button>
          ) : (
            <button type="button" onClick={() => void askDrain(id).then((call) => call && change(call()))}>
              {words.drain.name}
            </button>
          )}
          <button type="button" class="quiet" onClick={() => void remove()}>
            {words.remove.name}
          </button>
        </div>
      )}
    </section>
  );

  async function remove(): Promise<void> {
    const { ask, means, name } = words.remove;
    const body = means(numberText(active_leases));
    if (await confirm({ title: ask(id), body, action: name, isDangerous: true })) change(client.removeWorker({ id }));
  }
}
