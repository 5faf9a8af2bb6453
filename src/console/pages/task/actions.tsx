/** Cancel, requeue, replay. The service decides; what a task's state does not allow is left out. */
import { useState } from "preact/hooks";
import type { SlimTask } from "../../../client/index.ts";
import { confirm } from "../../parts/confirm.tsx";
import { tell, tellFault } from "../../parts/notice.tsx";
import { isRequeueable, stageOf } from "../../parts/task-states.ts";
import { addressOf, go } from "../../router.ts";
import { client, may } from "../../session.ts";
import { texts } from "../../texts.ts";
import { ReplayForm } from "./replay-form.tsx";

export function Actions({ task: { id, status, cancel_requested }, reload }: { task: SlimTask; reload(): void }) {
  const [isReplaying, setReplaying] = useState(false);
  const words = texts.value.task;
  const bulk = texts.value.tasks.bulk;
  const stage = stageOf(status);
  const cancel = async () => {
    const means = stage === "waiting" ? words.cancelQueued : words.cancelHeld;
    const question = { title: words.cancelAsk, body: means, action: words.cancelDo, isDangerous: true };
    if (!(await confirm(question))) return;
    await client.cancelTask({ id }).then(() => tell(words.cancelled), tellFault);
    reload();
  };
  const requeue = async () => {
    await client.requeueTask({ id }).then(() => tell(words.requeued), tellFault);
    reload();
  };
  const replay = async (changes: { [name: string]: unknown }) => {
    const task = await client.replayTask({ id, changes });
    setReplaying(false);
    tell(words.replayed);
    go(addressOf("tasks", task.id));
  };
  return (
    <div class="buttons">
      {may("administer") && stage !== "ended" && !cancel_requested && (
        <button type="button" onClick={cancel}>
          {bulk.cancel.name}
        </button>
      )}
      {may("administer") && isRequeueable(status) && (
        <button type="button" class="primary" onClick={requeue}>
          {bulk.requeue.name}
        </button>
      )}
      {may("submit") && (
        <button type="button" onClick={() => setReplaying(true)}>
          {bulk.replay.name}…
        </button>
      )}
      {isReplaying && <ReplayForm id={id} replay={replay} close={() => setReplaying(false)} />}
    </div>
  );
}
