/** The tasks that failed last, with what they said and when they failed. */
import type { SlimTask } from "../../../client/index.ts";
import { isRequeueable, TASK_STATUSES } from "../../parts/task-states.ts";
import { addressOf } from "../../router.ts";
import { texts } from "../../texts.ts";
import { Row } from "../tasks/row.tsx";

const FAILED = TASK_STATUSES.filter(isRequeueable).join();

export function Failures({ tasks }: { tasks: SlimTask[] }) {
  const words = texts.value.now;
  if (tasks.length === 0) return null;
  return (
    <section aria-labelledby="failures">
      <div class="head">
        <h2 id="failures">{words.failures}</h2>
        <a href={addressOf("tasks", undefined, { status: FAILED })}>{words.all}</a>
      </div>
      <ul class="task-list card">
        {tasks.map((task) => (
          <Row key={task.id} task={task} at={task.updated_at} isChosen={false} choose={undefined} />
        ))}
      </ul>
    </section>
  );
}
