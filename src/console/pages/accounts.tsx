/** The accounts at LLM providers with their limits, and what was used. */
import { Fault } from "../parts/fault.tsx";
import { client } from "../session.ts";
import { texts } from "../texts.ts";
import { readPages, usePages } from "../use-pages.ts";
import { AccountCard } from "./accounts/account-card.tsx";
import { UsageOf } from "./accounts/usage.tsx";

export default function Accounts() {
  const words = texts.value.accounts;
  const { data, trouble, reload, showMore } = usePages(
    (pages, signal) => readPages(pages, (next) => client.listAccounts({ limit: 500, ...next }, { signal })),
    { wants: ({ type }) => type.startsWith("account.") || type.startsWith("worker."), everyMs: 60_000 },
  );
  return (
    <main class="page">
      <h1 tabIndex={-1}>{words.title}</h1>
      <Fault {...trouble} />
      {data?.items.length === 0 && <p class="empty">{words.none}</p>}
      <div class="grid">
        {data?.items.map((account) => (
          <AccountCard key={account.id} account={account} reload={reload} />
        ))}
      </div>
      {data?.hasMore && (
        <button type="button" onClick={showMore}>
          {texts.value.common.more}
        </button>
      )}
      <UsageOf />
    </main>
  );
}
