/** What somebody should do something about, the most urgent first, each with what mends it. */
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import type { Key, Overview } from "../../../client/index.ts";
import { Icon } from "../../parts/icon.tsx";
import { tell, tellFault } from "../../parts/notice.tsx";
import { Ago, durationText, untilText } from "../../parts/time.tsx";
import { isKeyRevoked } from "../../parts/worker-key-revoked.ts";
import { addressOf } from "../../router.ts";
import { client, may } from "../../session.ts";
import { numberText, texts } from "../../texts.ts";
import { now } from "../../ticking-now.ts";
import { useLiveData } from "../../use-live-data.ts";
import { resumeAccount } from "../accounts/resume.ts";
import { changeMatching } from "../tasks/bulk.tsx";

interface Item {
  key: string;
  tone: "bad" | "wait";
  says: ComponentChildren;
  mends: ComponentChildren;
}

/** The most lines of a kind; the page of that kind has the rest. */
const MOST = 4;
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
    ...taskItems(overview, reload),
    ...overview.accounts
      .filter(({ rest }) => rest)
      .slice(0, MOST)
      .map(
        ({ id, rest }): Item => ({
          key: `account ${id}`,
          tone: "wait",
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
    ...workerItems(overview, keys, (id) => act(client.resumeWorker({ id }), words.resumed(id))),
  ];
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

const link = (address: string) => (
  <a class="button" href={address}>
    {texts.value.now.look}
  </a>
);

const ageText = (since: number) => durationText(Math.max(0, now.value - since), false);

const ConnectLink = () => (
  <a class="button" href={addressOf("workers")}>
    {texts.value.workers.connect.title}
  </a>
);

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

/** Workers that are lost, logged out, or rest for another cause. */
function workerItems(
  { workers_in_trouble: workers, counts }: Overview,
  keys: Key[],
  resume: (id: string) => void,
): Item[] {
  const words = texts.value.now;
  const button = (id: string) =>
    may("administer") && (
      <button type="button" onClick={() => resume(id)}>
        {words.resume}
      </button>
    );
  const resting = workers.flatMap(({ id, rest, status }): Item[] => {
    if (!rest || status !== "online") return [];
    const says =
      rest.kind === "auth"
        ? words.loggedOut(id)
        : words.workerRests(id, texts.value.states.rest[rest.kind], untilText(rest.until));
    return [{ key: `rest ${id}`, tone: rest.kind === "auth" ? "bad" : "wait", says, mends: button(id) }];
  });
  const gone = workers
    .filter(({ status }) => status !== "online")
    .map(
      ({ id, status, last_heartbeat }): Item => ({
        key: `lost ${id}`,
        tone: "wait",
        says: (
          <>
            {words.lost(id)} {last_heartbeat !== null && <Ago at={last_heartbeat} />}
            {isKeyRevoked({ id, status }, keys) && `. ${texts.value.workers.keyRevoked}`}
          </>
        ),
        mends: link(addressOf("workers", id)),
      }),
    );
  if (counts.workers.total === 0) return [{ key: "none", tone: "bad", says: words.noWorkers, mends: <ConnectLink /> }];
  return [...resting.slice(0, MOST), ...gone.slice(0, MOST)];
}
