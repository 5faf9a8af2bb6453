/** What was asked of the task, and what it has used. */

import type { ComponentChildren } from "preact";
import type { SlimTask } from "../../../client/index.ts";
import { CopyButton } from "../../parts/copy.tsx";
import { shortId } from "../../parts/short-id.ts";
import { Ago, At, durationText } from "../../parts/time.tsx";
import { addressOf } from "../../router.ts";
import { bytesText, dollarsText, numberText, shortNumber, texts } from "../../texts.ts";

export function Facts({ task }: { task: SlimTask }) {
  const words = texts.value.task.facts;
  const { usage, policy, requires, worker_id } = task;
  const rows: [string, ComponentChildren][] = [
    ["ID", <Id key="id" id={task.id} />],
    [words.created, <Ago key="created" at={task.created_at} />],
    [words.changed, <Ago key="changed" at={task.updated_at} />],
    [
      words.worker,
      worker_id && (
        <a key="worker" href={addressOf("workers", worker_id)}>
          {worker_id}
        </a>
      ),
    ],
    [words.attempts, `${task.attempts} / ${task.max_attempts}`],
    [words.due, task.not_before && <At key="due" at={task.not_before} />],
    [words.priority, task.priority !== 0 && numberText(task.priority)],
    [
      words.requires,
      requires.length > 0 &&
        requires.map((label) => (
          <span key={label} class="tag">
            {label}
          </span>
        )),
    ],
    [words.model, policy.model],
    [words.timeout, durationText(policy.timeout_sec * 1_000)],
    [words.key, task.concurrency_key],
    [words.size, bytesText(task.prompt_bytes)],
    [words.duration, usage && usage.duration_ms > 0 && durationText(usage.duration_ms)],
    [
      words.tokens,
      usage &&
        usage.tokens > 0 &&
        `${shortNumber(usage.tokens)} (${shortNumber(usage.input_tokens)} + ${shortNumber(usage.output_tokens)})`,
    ],
    [words.cost, usage && usage.cost_usd > 0 && dollarsText(usage.cost_usd)],
  ];
  return (
    <section class="card">
      <h2>{words.title}</h2>
      <dl class="facts">
        {rows.map(([name, value]) =>
          value ? (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ) : null,
        )}
      </dl>
    </section>
  );
}

const Id = ({ id }: { id: string }) => (
  <span class="row">
    <code title={id}>…{shortId(id)}</code>
    <CopyButton text={id} />
  </span>
);
