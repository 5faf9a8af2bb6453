/** One task: its state and why, what it was asked, what came of it, and all that happened to it. */
import type { PageProps } from "../page-props.ts";
import { causeText } from "../parts/causes.ts";
import { Fault } from "../parts/fault.tsx";
import { TaskState, toneOf } from "../parts/state.tsx";
import { stageOf } from "../parts/task-states.ts";
import { addressOf } from "../router.ts";
import { percentText, texts } from "../texts.ts";
import { Actions } from "./task/actions.tsx";
import { Artifacts, Output } from "./task/artifacts.tsx";
import { Attempts } from "./task/attempts.tsx";
import { Facts } from "./task/facts.tsx";
import { History } from "./task/history.tsx";
import { LiveOutput } from "./task/live-output.tsx";
import { Prompt } from "./task/prompt.tsx";
import { useTask } from "./task/use-task.ts";

/** The type of the artifact that holds all that a CLI printed. */
const TRANSCRIPT = "LLM_TRANSCRIPT";

/** Their sentences begin with the worker, which is a link. */
const WORKERS_IN_REACH: readonly string[] = ["worker_full", "worker_rests", "worker_drained"];

export default function TaskPage({ id = "" }: PageProps) {
  const { data, trouble, reload } = useTask(id);
  const words = texts.value.task;
  const back = (
    <a class="back" href={addressOf("tasks")}>
      ← {texts.value.tasks.title}
    </a>
  );
  if (!data)
    return (
      <main class="task">
        {back}
        {/* The heading stands where it stands below, so that it keeps the focus when the task is there. */}
        <div class="head">
          <div>
            <h1 tabIndex={-1}>{words.title}</h1>
          </div>
        </div>
        <Fault {...trouble} />
      </main>
    );
  const { task, explanation, leases, results, artifacts, history } = data;
  const isHeld = stageOf(task.status) === "held";
  const result = artifacts.find(({ accepted, type }) => accepted !== false && type !== TRANSCRIPT);
  // A failed attempt has often written nothing, and its reason stands above: an empty output is not shown then.
  const output = task.status === "completed" || result?.size_bytes ? result : undefined;
  return (
    <main class="task">
      {back}
      <div class="head">
        <div>
          <h1 tabIndex={-1}>{task.agent_slug}</h1>
          <p class="soft">
            <a href={addressOf("tasks", undefined, { context_id: task.context_id })} title={words.all}>
              {task.context_id}
            </a>
          </p>
        </div>
        <Actions task={task} reload={reload} />
      </div>
      <Fault {...trouble} />
      <section
        class={`why ${explanation.because.some(({ code }) => code === "tools_denied") ? "wait" : toneOf(task.status)}`}
        aria-label={words.why}
      >
        <TaskState status={task.status} />
        <p>
          {explanation.because.map((cause) => (
            <span key={cause.code + cause.worker_id}>
              {WORKERS_IN_REACH.includes(cause.code) && (
                <a href={addressOf("workers", cause.worker_id)}>{cause.worker_id}</a>
              )}{" "}
              {causeText(cause)}{" "}
            </span>
          ))}
        </p>
        {isHeld && task.progress && <Progress {...task.progress} />}
      </section>
      {explanation.workers.some(({ because }) => because.length > 0) && stageOf(task.status) === "waiting" && (
        <details class="card" open={explanation.workers.every(({ because }) => because.length > 0)}>
          <summary>{words.workers}</summary>
          <ul class="lines">
            {explanation.workers.map(({ worker_id, because }) => (
              <li key={worker_id}>
                <a href={addressOf("workers", worker_id)}>{worker_id}</a>{" "}
                <span class="soft">{because.length > 0 ? because.map(causeText).join("; ") : words.couldTake}</span>
              </li>
            ))}
          </ul>
        </details>
      )}
      <div class="columns">
        <div>
          {isHeld && <LiveOutput id={id} />}
          {output && <Output key={output.id} artifact={output} />}
          <Prompt task={task} />
        </div>
        <div>
          <Facts task={task} />
          <Attempts leases={leases} results={results} />
          <Artifacts artifacts={artifacts} />
          <History entries={history} />
        </div>
      </div>
    </main>
  );
}

function Progress({ value, text }: { value: number | null; text: string | null }) {
  return (
    <div class="progress">
      {value !== null && <progress value={value} aria-label={texts.value.task.progress} />}
      <span>{[value === null ? "" : percentText(value), text].filter(Boolean).join(" · ")}</span>
    </div>
  );
}
