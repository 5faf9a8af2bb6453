/** What an admin sets: keys, webhooks, Membridge. */
import { texts } from "../texts.ts";
import { Keys } from "./settings/keys.tsx";
import { MembridgeAddress } from "./settings/membridge-address.tsx";
import { Webhooks } from "./settings/webhooks.tsx";

export default function Settings() {
  return (
    <main class="page">
      <h1 tabIndex={-1}>{texts.value.settings.title}</h1>
      <Keys />
      <Webhooks />
      <MembridgeAddress />
    </main>
  );
}
