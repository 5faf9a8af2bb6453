/** How many tasks there are in each state, as the choice of states. The service keeps these counts, so that they never cost a scan. */
import { TaskState } from "../../parts/state.tsx";
import { TASK_STATUSES } from "../../parts/task-states.ts";
import { addressOf } from "../../router.ts";
import { client } from "../../session.ts";
import { shortNumber, texts } from "../../texts.ts";
import { useLiveData } from "../../use-live-data.ts";
import type { Filter } from "./filter.ts";

const PAUSE_MS = 5_000;

export function Counts({ filter }: { filter: Filter }) {
  const { data } = useLiveData((signal) => client.getStats({}, { signal }), {
    wants: ({ task_id }) => task_id !== null,
    pauseMs: PAUSE_MS,
  });
  const { status, ...rest } = filter;
  const chosen = status?.split(",") ?? [];
  const toggled = (each: string) =>
    (chosen.includes(each) ? chosen.filter((one) => one !== each) : [...chosen, each]).join(",");
  const { all } = texts.value.tasks;
  return (
    <nav class="counts" aria-label={texts.value.tasks.states}>
      <a href={addressOf("tasks", undefined, rest)} aria-current={chosen.length === 0 ? "true" : undefined}>
        {all} <b>{data ? shortNumber(data.tasks.total) : "·"}</b>
      </a>
      {TASK_STATUSES.map((each) => (
        <a
          key={each}
          href={addressOf("tasks", undefined, { ...rest, status: toggled(each) })}
          aria-current={chosen.includes(each) ? "true" : undefined}
        >
          <TaskState status={each} /> <b>{data ? shortNumber(data.tasks.by_status[each] ?? 0) : "·"}</b>
        </a>
      ))}
    </nav>
  );
}
