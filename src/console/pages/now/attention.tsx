/** What somebody should do something about, the most urgent first, each with what mends it. */
import { useState } from "preact/hooks";
import type { Overview } from "../../../client/index.ts";
import { Icon } from "../../parts/icon.tsx";
import { tell, tellFault } from "../../parts/notice.tsx";
import { durationText, untilText } from "../../parts/time.tsx";
import { addressOf } from "../../router.ts";
import { client, may } from "../../session.ts";
import { numberText, texts } from "../../texts.ts";
import { now } from "../../ticking-now.ts";
import { useLiveData } from "../../use-live-data.ts";
import { resumeAccount } from "../accounts/resume.ts";
import { changeMatching } from "../tasks/bulk.tsx";
import { type Item, link, MOST } from "./item.tsx";
import { workerItems } from "./worker-items.tsx";

/** What somebody has to mend comes first, and what is over by itself last. */
const rankOf = ({ tone, isPassing }: Item) => (isPassing ? 2 : tone === "bad" ? 0 : 1);

/** How many lines a phone shows at first, so that what failed lately stands on its first screen too (now.css). */
const MOST_ON_PHONE = 2;

export function Attention({ overview, reload }: { overview: Overview; reload(): void }) {
  const words = texts.value.now;
  const [isWhole, setWhole] = useState(false);
  const mayBeRefused = may("administer") && overview.workers_in_trouble.some(({ status }) => status !== "online");
  // Without the keys, the lines are shown too.
  const { data: keys = [] } = useLiveData(
    async (signal) => (mayBeRefused ? await client.listKeys({}, { signal }) : []),
    { of: `${mayBeRefused}`, wants: ({ type }) => type.startsWith("key.") },
  );
  const act = (call: Promise<unknown>, done: string) =>
    void call.then(() => {
      tell(done);
      reload();
    }, tellFault);
  const items = [
    ...workerItems(overview, keys, (id) => act(client.resumeWorker({ id }), words.resumed(id))),
    ...taskItems(overview, reload),
    ...overview.accounts
      .filter(({ rest }) => rest)
      .slice(0, MOST)
      .map(
        ({ id, rest }): Item => ({
          key: `account ${id}`,
          tone: "wait",
          isPassing: rest?.until !== null,
          says: words.accountRests(id, rest ? texts.value.states.rest[rest.kind] : "", untilText(rest?.until ?? null)),
          mends: (
            <>
              {link(addressOf("accounts", id))}
              {may("administer") && (
                <button type="button" onClick={() => resumeAccount(id, reload)}>
                  {words.resume}
                </button>
              )}
            </>
          ),
        }),
      ),
  ].toSorted((one, other) => rankOf(one) - rankOf(other));
  if (items.length === 0)
    return (
      <p class="calm">
        <Icon name="check" /> {words.calm}
      </p>
    );
  return (
    <section class="attention card" aria-labelledby="attention">
      <h2 id="attention">{words.attention}</h2>
      <ul class={isWhole ? "lines" : "lines first-lines"}>
        {items.map(({ key, tone, says, mends }) => (
          <li key={key} class="head">
            <span class={`attention-says ${tone}`}>
              <Icon name={tone === "bad" ? "warning" : "clock"} />
              <span>{says}</span>
            </span>
            <span class="buttons">{mends}</span>
          </li>
        ))}
      </ul>
      {!isWhole && items.length > MOST_ON_PHONE && (
        <button type="button" class="quiet other-lines" onClick={() => setWhole(true)}>
          {words.others(items.length - MOST_ON_PHONE)}
        </button>
      )}
    </section>
  );
}

const ageText = (since: number) => durationText(Math.max(0, now.value - since), false);

/** Tasks that nobody can take, and those that are dead. */
function taskItems({ counts, untakeable }: Overview, reload: () => void): Item[] {
  const words = texts.value.now;
  const countText = (count: number) => texts.value.common.tasks(count, numberText(count));
  const { dead = 0 } = counts.tasks.by_status;
  const stuck = untakeable.map(({ requires, drained, tasks, example, since }): Item => {
    const waiting = [countText(tasks), ageText(since)] as const;
    const [first] = drained;
    return {
      key: `stuck ${requires.join()}`,
      tone: first ? "wait" : "bad",
      says: first
        ? words.drained(drained.join(", "), ...waiting)
        : requires.length > 0
          ? words.noLabels(requires.join(", "), ...waiting)
          : words.noWorker(...waiting),
      mends: link(first ? addressOf("workers", first) : addressOf("tasks", example)),
    };
  });
  if (dead === 0) return stuck;
  const requeue = async () => {
    await changeMatching("requeue", { status: "dead" }).catch(tellFault);
    reload();
  };
  const item: Item = {
    key: "dead",
    tone: "bad",
    says: words.dead(countText(dead), dead),
    mends: (
      <>
        {link(addressOf("tasks", undefined, { status: "dead" }))}
        {may("administer") && (
          <button type="button" onClick={requeue}>
            {texts.value.tasks.bulk.requeue.name}…
          </button>
        )}
      </>
    ),
  };
  return [...stuck, item];
}
