/** Cancels, requeues or replays many tasks: those that were chosen, or all that match the filter, whose number is asked first. */

import { useState } from "preact/hooks";
import { type ChangedTasks, Refused } from "../../../client/index.ts";
import { confirm } from "../../parts/confirm.tsx";
import { tell, tellFault } from "../../parts/notice.tsx";
import { shortId } from "../../parts/short-id.ts";
import { isRequeueable, stageOf, TASK_STATUSES } from "../../parts/task-states.ts";
import { client, may } from "../../session.ts";
import { numberText, texts } from "../../texts.ts";
import { argsOf, type Filter, isEmpty } from "./filter.ts";

const countText = (count: number) => texts.value.common.tasks(count, numberText(count));

type Verb = "cancel" | "requeue" | "replay";
/** What can be done to tasks in some of these states. */
const STATES: Record<Verb, readonly string[]> = {
  cancel: TASK_STATUSES.filter((status) => stageOf(status) !== "ended"),
  requeue: TASK_STATUSES.filter(isRequeueable),
  replay: TASK_STATUSES,
};
const VERBS: readonly Verb[] = ["cancel", "requeue", "replay"];

/** The most tasks that one call changes. */
const LIMIT = 1_000;

const one: Record<Verb, (id: string) => Promise<unknown>> = {
  cancel: (id) => client.cancelTask({ id }),
  requeue: (id) => client.requeueTask({ id }),
  replay: (id) => client.replayTask({ id }),
};

function callMany(verb: Verb, filter: Filter, dry_run: boolean, idempotency_key: string): Promise<ChangedTasks> {
  const args = { filter: argsOf(filter), dry_run, limit: LIMIT };
  if (verb === "cancel") return client.cancelTasks(args);
  return verb === "requeue" ? client.requeueTasks(args) : client.replayTasks({ ...args, idempotency_key });
}

/** Changes all tasks that match the filter, after it was said how many they are. */
export async function changeMatching(verb: Verb, filter: Filter): Promise<void> {
  const words = texts.value.tasks.bulk;
  const key = crypto.getRandomValues(new Uint32Array(4)).join("-");
  const tried = await callMany(verb, filter, true, key);
  if (tried.matched === 0) return tell(words.none);
  const title = words[verb].ask(countText(tried.matched));
  const body = (
    <>
      <p>{words[verb].means}</p>
      {tried.more && <p>{words.limited(numberText(LIMIT))}</p>}
      <ul class="examples">
        {tried.examples.map(({ id, agent_slug, context_id }) => (
          <li key={id}>
            <code>{shortId(id)}</code> {agent_slug} <span class="soft">{context_id}</span>
          </li>
        ))}
        {tried.matched > tried.examples.length && (
          <li class="soft">{words.andMore(numberText(tried.matched - tried.examples.length))}</li>
        )}
      </ul>
    </>
  );
  if (!(await confirm({ title, body, action: actionOf(verb), isDangerous: verb === "cancel" }))) return;
  const done = await callMany(verb, filter, false, key);
  tell(words.done(numberText(done.changed), numberText(done.refused)));
}

/** The word on the button that does it. Beside "Go back", "Cancel" alone could mean either. */
const actionOf = (verb: Verb) => {
  const words = texts.value.tasks.bulk;
  return verb === "cancel" ? words.cancel.confirm : words[verb].name;
};

export interface BulkProps {
  filter: Filter;
  chosen: ReadonlySet<string>;
  clear(): void;
}

export function Bulk({ filter, chosen, clear }: BulkProps) {
  const [isBusy, setBusy] = useState(false);
  const words = texts.value.tasks.bulk;

  const changeChosen = async (verb: Verb) => {
    const title = words[verb].ask(countText(chosen.size));
    if (!(await confirm({ title, body: words[verb].means, action: actionOf(verb), isDangerous: verb === "cancel" })))
      return;
    let changed = 0;
    let fault: unknown;
    for (const id of chosen)
      await one[verb](id).then(
        () => changed++,
        (error) => {
          fault = error;
        },
      );
    clear();
    if (fault instanceof Refused || fault === undefined)
      tell(words.done(numberText(changed), numberText(chosen.size - changed)));
    if (fault !== undefined && changed === 0) tellFault(fault);
  };

  const isOfFilter = chosen.size === 0;
  const states = filter.status?.split(",") ?? TASK_STATUSES;
  const isPossible = (verb: Verb) =>
    may(verb === "replay" ? "submit" : "administer") && states.some((each) => STATES[verb].includes(each));
  const possible = VERBS.filter(isPossible);
  if (isOfFilter && (isEmpty(filter) || possible.length === 0)) return null;
  const run = async (verb: Verb) => {
    setBusy(true);
    await (isOfFilter ? changeMatching(verb, filter) : changeChosen(verb)).catch(tellFault);
    setBusy(false);
  };
  return (
    <div class={isOfFilter ? "bulk" : "bulk active"}>
      <span>{isOfFilter ? words.matching : words.chosen(numberText(chosen.size))}</span>
      {possible.map((verb) => (
        <button key={verb} type="button" class="quiet" disabled={isBusy} onClick={() => run(verb)}>
          {words[verb].name}
        </button>
      ))}
      {!isOfFilter && (
        <button type="button" class="quiet" onClick={clear}>
          {words.clear}
        </button>
      )}
    </div>
  );
}
