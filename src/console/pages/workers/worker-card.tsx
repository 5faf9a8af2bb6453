import type { SlimTask, Worker } from "../../../client/index.ts";
import { confirm } from "../../parts/confirm.tsx";
import { WorkerStateOf } from "../../parts/state.tsx";
import { HELD_STATUSES } from "../../parts/task-states.ts";
import { Ago } from "../../parts/time.tsx";
import { Rest, restText } from "../../parts/worker-rest.tsx";
import { addressOf } from "../../router.ts";
import { client, may } from "../../session.ts";
import { numberText, texts } from "../../texts.ts";
import { askDrain } from "./drain.tsx";

export interface WorkerCardProps {
  worker: Worker;
  /** The tasks that the worker holds. */
  tasks: SlimTask[];
  isKeyRevoked: boolean;
  change(call: Promise<unknown>): void;
}

/** A worker with all that decides whether it gets work. */
export function WorkerCard({ worker, tasks, isKeyRevoked, change }: WorkerCardProps) {
  const words = texts.value.workers;
  const { id, capabilities, active_leases, account, last_heartbeat, agent_version, os_info, drain, rest, answered_by } =
    worker;
  const resting = rest ?? worker.account_rest;
  const isResumable = drain !== null || rest !== null;
  return (
    <section class="card" aria-label={id}>
      <div class="head">
        <h2>
          <a href={addressOf("workers", id)}>{id}</a>
        </h2>
        <WorkerStateOf worker={worker} />
      </div>
      {drain && <Rest reason={drain.reason || words.drained} until={drain.until} />}
      {!drain && resting && <Rest reason={restText(resting.kind, resting.reason)} until={resting.until} />}
      {isKeyRevoked && <p class="bad">{words.keyRevoked}</p>}
      {answered_by !== null && <p class="bad">{words.answeredBy(answered_by)}</p>}
      <dl class="facts">
        <div>
          <dt>{words.slots}</dt>
          <dd>
            <a href={addressOf("tasks", undefined, { worker_id: id, status: HELD_STATUSES.join(",") })}>
              {words.slotsOf(numberText(active_leases), numberText(capabilities.max_concurrency))}
            </a>
          </dd>
        </div>
        <div>
          <dt>{words.account}</dt>
          <dd>
            <a href={addressOf("accounts", account)}>{account}</a>
          </dd>
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
      {tasks.length > 0 && (
        <ul class="lines" aria-label={words.slots}>
          {tasks.map((task) => (
            <li key={task.id} class="head">
              <a href={addressOf("tasks", task.id)}>{task.agent_slug}</a>
              <span class="soft">{task.progress?.text ?? task.context_id}</span>
            </li>
          ))}
        </ul>
      )}
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
