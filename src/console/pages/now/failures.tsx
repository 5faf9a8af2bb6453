/** The newest tasks that failed, with what they said. */
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
          <Row key={task.id} task={task} isChosen={false} choose={undefined} />
        ))}
      </ul>
    </section>
  );
}
