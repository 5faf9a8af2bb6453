/** How much of each window of an account's allowance is used, and when the window begins anew. */
import type { Account } from "../../client/index.ts";
import { percentText, texts } from "../texts.ts";
import { now } from "../ticking-now.ts";
import { exactText, relativeText } from "./time.tsx";

export function Windows({ windows }: Pick<Account, "windows">) {
  const words = texts.value.now;
  const known = Object.entries(windows);
  if (known.length === 0) return <p class="soft">{words.noWindows}</p>;
  return (
    <dl class="windows">
      {known.map(([name, { used, resets_at }]) => {
        const isOver = resets_at !== null && resets_at <= now.value;
        const share = isOver ? 0 : (used ?? 0);
        return (
          <div key={name}>
            <dt>{(words.windows as Record<string, string>)[name] ?? name}</dt>
            <dd>
              <svg class={`bar ${toneOf(share)}`} viewBox="0 0 1000 6" preserveAspectRatio="none" aria-hidden="true">
                <rect class="ground" width="1000" height="6" />
                <rect width={Math.min(1, share) * 1000} height="6" />
              </svg>
              <span class="soft">
                {used === null ? "" : percentText(share)}
                {resets_at !== null && !isOver && (
                  <span title={exactText(resets_at)}> · {words.resets(relativeText(resets_at, now.value))}</span>
                )}
              </span>
            </dd>
          </div>
        );
      })}
    </dl>
  );
}

const toneOf = (share: number) => (share >= 0.95 ? "bad" : share >= 0.75 ? "wait" : "good");
