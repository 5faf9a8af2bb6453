/** The accounts at LLM providers with their limits, and what was used. */
import { Fault } from "../parts/fault.tsx";
import { client } from "../session.ts";
import { texts } from "../texts.ts";
import { useSnapshot } from "../use-snapshot.ts";
import { AccountCard } from "./accounts/account-card.tsx";
import { UsageOf } from "./accounts/usage.tsx";

export default function Accounts() {
  const words = texts.value.accounts;
  const { data, trouble, reload } = useSnapshot((signal) => client.listAccounts({ limit: 500 }, { signal }), {
    wants: ({ type }) => type.startsWith("account.") || type.startsWith("worker."),
    everyMs: 60_000,
  });
  return (
    <main class="page">
      <h1 tabIndex={-1}>{words.title}</h1>
      <Fault {...trouble} />
      {data?.length === 0 && <p class="empty">{words.none}</p>}
      <div class="grid">
        {data?.map((account) => (
          <AccountCard key={account.id} account={account} reload={reload} />
        ))}
      </div>
      <UsageOf />
    </main>
  );
}
