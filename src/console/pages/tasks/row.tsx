import type { SlimTask } from "../../../client/index.ts";
import { shortId } from "../../parts/short-id.ts";
import { TaskState } from "../../parts/state.tsx";
import { stageOf } from "../../parts/task-states.ts";
import { Ago, relativeText } from "../../parts/time.tsx";
import { addressOf } from "../../router.ts";
import { percentText, texts } from "../../texts.ts";
import { now } from "../../ticking-now.ts";

export interface RowProps {
  task: SlimTask;
  /** The time that is shown; not given: when the task was created. */
  at?: number;
  isChosen: boolean;
  choose: ((id: string) => void) | undefined;
}

/** A task in a line or two. */
export function Row({ task, at = task.created_at, isChosen, choose }: RowProps) {
  const { id, context_id, agent_slug, status, worker_id, attempts, max_attempts } = task;
  const words = texts.value.tasks;
  const text = textOf(task);
  return (
    <li class={isChosen ? "task-row chosen" : "task-row"}>
      {choose && (
        <input type="checkbox" checked={isChosen} onChange={() => choose(id)} aria-label={words.choose(shortId(id))} />
      )}
      <a href={addressOf("tasks", id)} class="task-link" data-row={id}>
        <TaskState status={status} />
        <span class="task-what">
          <strong>{agent_slug}</strong> <span class="soft">{context_id}</span>
          {text && <span class={isBad(task) ? "said bad" : "said soft"}>{text}</span>}
        </span>
        <span class="soft task-worker">{worker_id ?? ""}</span>
        <span class="soft number" title={words.attempts}>
          {attempts}/{max_attempts}
        </span>
        <span class="soft number task-age">
          <Ago at={at} />
        </span>
      </a>
    </li>
  );
}

/** Whether what matters most is an error: of a task that runs it is not, whatever an earlier attempt said. */
const isBad = ({ status, last_error }: SlimTask) => last_error !== null && stageOf(status) !== "held";

/** What matters most beside the status. */
function textOf({ status, progress, last_error, retry_at, not_before, cancel_requested }: SlimTask): string | null {
  const words = texts.value.tasks;
  const isHeld = stageOf(status) === "held";
  if (cancel_requested && isHeld) return words.toBeCancelled;
  if (isHeld && progress) {
    const share = progress.value === null ? "" : percentText(progress.value);
    return [share, progress.text].filter(Boolean).join(" · ");
  }
  const due = stageOf(status) === "waiting" ? Math.max(retry_at ?? 0, not_before ?? 0) : 0;
  const wait = due > now.value ? words.due(relativeText(due, now.value)) : null;
  return [wait, status === "completed" ? null : last_error].filter(Boolean).join(" · ") || null;
}
