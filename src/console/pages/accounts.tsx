/** The accounts at LLM providers with their limits, and what was used. */
import type { Account } from "../../client/index.ts";
import { Fault } from "../parts/fault.tsx";
import { tellFault } from "../parts/notice.tsx";
import { Rest } from "../parts/rest.tsx";
import { StateShape } from "../parts/state.tsx";
import { Windows } from "../parts/windows.tsx";
import { addressOf } from "../router.ts";
import { client, may } from "../session.ts";
import { useSnapshot } from "../snapshot.ts";
import { numberText, texts } from "../texts.ts";
import { UsageOf } from "./accounts/usage.tsx";

export default function Accounts() {
  const words = texts.value.accounts;
  const { data, fault, reload } = useSnapshot((signal) => client.listAccounts({ limit: 500 }, { signal }), {
    wants: ({ type }) => type.startsWith("account.") || type.startsWith("worker."),
    everyMs: 60_000,
  });
  return (
    <main class="page">
      <h1 tabIndex={-1}>{words.title}</h1>
      <Fault of={fault} />
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

function AccountCard({ account, reload }: { account: Account; reload(): void }) {
  const words = texts.value.accounts;
  const { id, rest, windows, paced_until, workers, active_leases } = account;
  const state = rest ? "limited" : paced_until === null ? "free" : "paced";
  const resume = () => client.resumeAccount({ id }).then(reload, tellFault);
  return (
    <section class="card" aria-label={id}>
      <div class="head">
        <h2>{id}</h2>
        <StateShape state={state} word={words[state]} />
      </div>
      {rest && <Rest {...rest} />}
      <Windows windows={windows} />
      <p class="soft">
        {words.running(numberText(active_leases))} ·{" "}
        {workers.map((worker, n) => (
          <span key={worker}>
            {n > 0 && ", "}
            <a href={addressOf("tasks", undefined, { worker_id: worker })}>{worker}</a>
          </span>
        ))}
      </p>
      {may("administer") && (rest || paced_until !== null) && (
        <div class="buttons">
          <button type="button" onClick={resume}>
            {words.resume}
          </button>
        </div>
      )}
    </section>
  );
}
