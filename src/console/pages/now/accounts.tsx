/** The accounts at LLM providers: how much of their windows is used, and when these begin anew. */
import type { Account } from "../../../client/index.ts";
import { Windows } from "../../parts/allowance-windows.tsx";
import { Rest } from "../../parts/worker-rest.tsx";
import { addressOf } from "../../router.ts";
import { texts } from "../../texts.ts";

export function Accounts({ accounts }: { accounts: Account[] }) {
  const words = texts.value.now;
  if (accounts.length === 0) return null;
  return (
    <section class="with-accounts" aria-labelledby="accounts">
      <h2 id="accounts">{words.accounts}</h2>
      <ul class="grid account-grid">
        {accounts.map((account) => (
          <li key={account.id} class="card">
            <div class="head">
              <a href={addressOf("accounts", account.id)}>
                <b>{account.id}</b>
              </a>
              <span class="soft">{words.atWork(account.active_leases)}</span>
            </div>
            {account.rest && <Rest reason={texts.value.states.rest[account.rest.kind]} until={account.rest.until} />}
            <Windows windows={account.windows} />
          </li>
        ))}
      </ul>
    </section>
  );
}
