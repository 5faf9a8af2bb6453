import type { Account } from "../../../client/index.ts";
import { Windows } from "../../parts/allowance-windows.tsx";
import { StateShape } from "../../parts/state.tsx";
import { untilText } from "../../parts/time.tsx";
import { Rest } from "../../parts/worker-rest.tsx";
import { addressOf } from "../../router.ts";
import { may } from "../../session.ts";
import { numberText, texts } from "../../texts.ts";
import { resumeAccount } from "./resume.ts";

/** An account with its limits. `reload` is called when it was resumed. */
export function AccountCard({ account, reload }: { account: Account; reload(): void }) {
  const words = texts.value.accounts;
  const { id, rest, windows, paced_until, workers, active_leases } = account;
  const state = rest ? "limited" : paced_until === null ? "free" : "paced";
  return (
    <section class="card" aria-label={id}>
      <div class="head">
        <h2>
          <a href={addressOf("accounts", id)}>{id}</a>
        </h2>
        <StateShape state={state} word={words[state]} />
      </div>
      {rest && (
        // The state above says already that the account is at its limit.
        <Rest reason={rest.kind === "rate_limited" ? "" : texts.value.states.rest[rest.kind]} until={rest.until} />
      )}
      {!rest && paced_until !== null && <p class="soft">{words.pacedUntil(untilText(paced_until))}</p>}
      <Windows windows={windows} />
      <p class="soft">
        {words.running(numberText(active_leases))} ·{" "}
        {workers.map((worker, n) => (
          <span key={worker}>
            {n > 0 && ", "}
            <a href={addressOf("workers", worker)}>{worker}</a>
          </span>
        ))}
      </p>
      {may("administer") && (rest || paced_until !== null) && (
        <div class="buttons">
          <button type="button" onClick={() => resumeAccount(id, reload)}>
            {words.resume}
          </button>
        </div>
      )}
    </section>
  );
}
