/** Everything that happened to the task, as it was written down. */
import type { AuditEntry } from "../../../client/index.ts";
import { actionText, detailText } from "../../parts/audit-words.ts";
import { At } from "../../parts/time.tsx";
import { texts } from "../../texts.ts";

export function History({ entries }: { entries: AuditEntry[] }) {
  return (
    <section class="card">
      <h2>{texts.value.task.history}</h2>
      <ol class="lines history">
        {entries.map(({ id, timestamp, action, actor, detail }) => (
          <li key={id}>
            <span class="soft">
              <At at={timestamp} />
            </span>
            <span>
              <b title={action}>{actionText(action)}</b> <span class="soft">{actor}</span>
              <br />
              {detailText(detail)}
            </span>
          </li>
        ))}
      </ol>
    </section>
  );
}
