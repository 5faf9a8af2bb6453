/** The lines about workers that need somebody. */
import type { Key, Overview } from "../../../client/index.ts";
import { Ago, untilText } from "../../parts/time.tsx";
import { isKeyRevoked } from "../../parts/worker-key-revoked.ts";
import { restText } from "../../parts/worker-rest.tsx";
import { addressOf } from "../../router.ts";
import { may } from "../../session.ts";
import { texts } from "../../texts.ts";
import { type Item, link, MOST } from "./item.tsx";

const ConnectLink = () => (
  <a class="button" href={addressOf("workers")}>
    {texts.value.workers.connect.title}
  </a>
);

/** The kinds of rests of which a worker that is offline tells why it is. */
const MENDED_BY_HAND: ReadonlySet<string> = new Set(["auth", "no_cli", "worker"]);

/** Workers that are lost, logged out, or rest for another cause. */
export function workerItems(
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
    if (!rest || !(status === "online" || MENDED_BY_HAND.has(rest.kind))) return [];
    const key = `rest ${id}`;
    if (rest.kind === "auth") return [{ key, tone: "bad", says: words.loggedOut(id), mends: button(id) }];
    if (status !== "online")
      return [
        {
          key,
          tone: "bad",
          says: words.stopped(id, restText(rest.kind, rest.reason).replace(/\.$/, "")),
          mends: link(addressOf("workers", id)),
        },
      ];
    const says = words.workerRests(id, texts.value.states.rest[rest.kind], untilText(rest.until));
    return [
      { key, tone: rest.until === null ? "bad" : "wait", isPassing: rest.until !== null, says, mends: button(id) },
    ];
  });
  const isResting = new Set(resting.map(({ key }) => key));
  const gone = workers
    .filter(({ id, status }) => status !== "online" && !isResting.has(`rest ${id}`))
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
