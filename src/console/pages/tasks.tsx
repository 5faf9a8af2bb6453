/** The list of tasks: counts by state, one filter, slim rows. */
import { useState } from "preact/hooks";
import { useKeys } from "../keyboard.ts";
import { CopyButton } from "../parts/copy.tsx";
import { Fault } from "../parts/fault.tsx";
import { Icon } from "../parts/icon.tsx";
import { tellFault } from "../parts/notice.tsx";
import { addressOf, place } from "../router.ts";
import { may } from "../session.ts";
import { texts } from "../texts.ts";
import { Bulk } from "./tasks/bulk.tsx";
import { Counts } from "./tasks/counts.tsx";
import { filterIn, isEmpty } from "./tasks/filter.ts";
import { FilterBox } from "./tasks/filter-box.tsx";
import { Row } from "./tasks/row.tsx";
import { useRows } from "./tasks/rows.ts";

export default function Tasks() {
  const filter = filterIn(place.value.query);
  const { rows, waiting, trouble, showNew, more } = useRows(filter);
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const [isBusy, setBusy] = useState(false);
  const words = texts.value.tasks;
  const canChange = may("submit");
  const choose = (id: string) =>
    setChosen((before) => new Set(before.has(id) ? [...before].filter((each) => each !== id) : [...before, id]));
  useKeys({
    j: () => focusRow(1),
    k: () => focusRow(-1),
    x: () => {
      const id = focusedRow();
      if (id !== undefined && canChange) choose(id);
    },
  });
  const showMore = async () => {
    setBusy(true);
    await more?.().catch(tellFault);
    setBusy(false);
  };
  const known = {
    agent: [...new Set(rows?.map(({ agent_slug }) => agent_slug))],
    context: [...new Set(rows?.map(({ context_id }) => context_id))],
  };
  return (
    <main class="tasks">
      <div class="head">
        <h1 tabIndex={-1}>{words.title}</h1>
        {canChange && (
          <a class="button" href={addressOf("new")}>
            <Icon name="add" /> {texts.value.newTask.title}
          </a>
        )}
      </div>
      <Counts filter={filter} />
      <FilterBox filter={filter} known={known} />
      <Fault {...trouble} />
      {canChange && (rows || !trouble) && <Bulk filter={filter} chosen={chosen} clear={() => setChosen(new Set())} />}
      {waiting > 0 && (
        <button type="button" class="new-rows" onClick={showNew}>
          {words.fresh(waiting)}
        </button>
      )}
      {rows && rows.length > 0 && (
        <ul class="task-list card">
          {rows.map((task) => (
            <Row key={task.id} task={task} isChosen={chosen.has(task.id)} choose={canChange ? choose : undefined} />
          ))}
        </ul>
      )}
      {rows?.length === 0 && !more && (isEmpty(filter) ? <First /> : <p class="empty">{words.noMatch}</p>)}
      {more && (
        <button type="button" onClick={showMore} disabled={isBusy}>
          {rows?.length === 0 ? words.searchOn : texts.value.common.more}
        </button>
      )}
    </main>
  );
}

/** What to do where there is no task yet. */
function First() {
  const { first } = texts.value.tasks;
  const call = `curl ${location.origin}/api/runtime/llm-tasks \\
  -H 'Content-Type: application/json' -H 'X-Runtime-API-Key: …' \\
  -d '{"context_id": "garden", "agent_slug": "writer", "prompt": "Write a haiku about seeds."}'`;
  return (
    <section class="empty">
      <h2>{first.title}</h2>
      <p>{first.body}</p>
      <pre class="code">{call}</pre>
      <div class="buttons">
        {may("submit") && (
          <a class="button primary" href={addressOf("new")}>
            {first.form}
          </a>
        )}
        <CopyButton text={call} label={texts.value.common.copy} />
      </div>
    </section>
  );
}

const links = () => [...document.querySelectorAll<HTMLElement>("[data-row]")];
const focusedRow = () => document.activeElement?.closest("li")?.querySelector<HTMLElement>("[data-row]")?.dataset.row;

/** Moves the focus to the next row, or the one before. */
function focusRow(step: 1 | -1): void {
  const all = links();
  const at = all.findIndex((link) => link.dataset.row === focusedRow());
  all[Math.min(all.length - 1, Math.max(0, at + step))]?.focus();
}
