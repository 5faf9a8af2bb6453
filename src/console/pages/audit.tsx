/** Who did what: the audit log, newest first, with a filter in the address. */

import { useState } from "preact/hooks";
import type { AuditEntry } from "../../client/index.ts";
import { actionText, detailText } from "../parts/audit-words.ts";
import { Fault } from "../parts/fault.tsx";
import { tellFault } from "../parts/notice.tsx";
import { shortId } from "../parts/short-id.ts";
import { At } from "../parts/time.tsx";
import { addressOf, go, place } from "../router.ts";
import { client } from "../session.ts";
import { texts } from "../texts.ts";
import { useLiveData } from "../use-live-data.ts";

/** Names are shown whole, and ids by their end (console/parts/short-id.ts). The whole id is shown on hover. */
const UUID = /^[0-9a-f]{8}-[0-9a-f-]{19}([0-9a-f]{8})$/;
const FIELDS = ["action", "actor", "entity_id"] as const;
type Filter = Partial<Record<(typeof FIELDS)[number], string>>;

export default function Audit() {
  const words = texts.value.audit;
  const filter: Filter = Object.fromEntries(
    FIELDS.map((field) => [field, place.value.query.get(field)]).filter(([, value]) => value),
  );
  const of = JSON.stringify(filter);
  const [older, setOlder] = useState<{ of: string; entries: AuditEntry[]; next: string | undefined }>();
  const { data, trouble } = useLiveData((signal) => client.listAudit({ ...filter, limit: 100 }, { signal }), {
    of,
    wants: () => older?.of !== of,
  });
  const further = older?.of === of ? older : undefined;
  const entries = data && [...data, ...(further?.entries ?? [])];
  const next = further ? further.next : data?.next?.after;
  const showMore = async () => {
    const page = await client.listAudit({ ...filter, limit: 100, after: next }).catch(tellFault);
    if (page) setOlder({ of, entries: [...(further?.entries ?? []), ...page], next: page.next?.after });
  };
  const search = (event: SubmitEvent) => {
    event.preventDefault();
    if (!(event.target instanceof HTMLFormElement)) return;
    const given = new FormData(event.target);
    go(
      addressOf(
        "audit",
        undefined,
        Object.fromEntries(FIELDS.map((field) => [field, String(given.get(field) ?? "").trim()])),
      ),
    );
  };
  return (
    <main class="page">
      <h1 tabIndex={-1}>{words.title}</h1>
      <form class="form-row" onSubmit={search} key={of}>
        {FIELDS.map((field, n) => (
          <label class="field" key={field}>
            {words.fields[field]}
            <input name={field} defaultValue={filter[field] ?? ""} {...(n === 0 && { "data-filter": "" })} />
          </label>
        ))}
        <button type="submit">{words.search}</button>
      </form>
      <Fault {...trouble} />
      {entries?.length === 0 && <p class="empty">{words.none}</p>}
      {entries && entries.length > 0 && <Entries entries={entries} />}
      {next !== undefined && (
        <button type="button" onClick={showMore}>
          {texts.value.common.more}
        </button>
      )}
    </main>
  );
}

function Entries({ entries }: { entries: AuditEntry[] }) {
  const words = texts.value.audit;
  return (
    <div class="card wide">
      <table class="table stacked">
        <thead>
          <tr>
            <th scope="col">{words.time}</th>
            <th scope="col">{words.fields.action}</th>
            <th scope="col">{words.fields.actor}</th>
            <th scope="col">{words.fields.entity_id}</th>
            <th scope="col">{words.detail}</th>
          </tr>
        </thead>
        <tbody>
          {entries.map(({ id, timestamp, action, actor, entity_id, entity_type, detail }) => (
            <tr key={id}>
              <td class="soft nowrap">
                <At at={timestamp} />
              </td>
              <td>
                <a href={addressOf("audit", undefined, { action })} title={action}>
                  {actionText(action)}
                </a>
              </td>
              <td>{actor}</td>
              <td class="mono">
                {entity_type === "llm_task" ? (
                  <a href={addressOf("tasks", entity_id)}>{shortId(entity_id)}</a>
                ) : (
                  <span title={entity_id}>{entity_id.replace(UUID, "$1")}</span>
                )}
              </td>
              <td>{detailText(detail)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
