import { useState } from "preact/hooks";
import type { ConnectionTest } from "../../../client/index.ts";
import { Fault } from "../../parts/fault.tsx";
import { tell } from "../../parts/notice.tsx";
import { StateShape } from "../../parts/state.tsx";
import { At } from "../../parts/time.tsx";
import { useAction } from "../../parts/use-action.ts";
import { client } from "../../session.ts";
import { texts } from "../../texts.ts";
import { useLiveData } from "../../use-live-data.ts";

/** Where Membridge is, and its admin key, which is sent to the service and never comes back. */
export function MembridgeAddress() {
  const words = texts.value.settings.membridge;
  const { data, trouble, reload } = useLiveData((signal) => client.getConfig({}, { signal }), {
    wants: ({ type }) => type.startsWith("config."),
  });
  const { failed, attempt } = useAction(reload);
  const [tested, setTested] = useState<ConnectionTest>();
  const save = (event: SubmitEvent) => {
    event.preventDefault();
    if (!(event.target instanceof HTMLFormElement)) return;
    const given = new FormData(event.target);
    void attempt(async () => {
      await client.saveConfig({
        membridge_server_url: String(given.get("address")),
        admin_key: String(given.get("key")),
      });
      tell(words.saved);
    });
  };
  // A team that saved no key most likely has no Membridge, and misses nothing.
  const isUsed = data && (data.connected || data.admin_key_masked !== "");
  return (
    <section class="card" aria-label={words.title}>
      <div class="head">
        <h2>{words.title}</h2>
        {isUsed && (
          <StateShape
            state={data.connected ? "connected" : "disconnected"}
            word={data.connected ? words.connected : words.notConnected}
          />
        )}
      </div>
      <Fault {...trouble} />
      <Fault of={failed} />
      {data && (
        <form class="form" onSubmit={save} key={data.membridge_server_url + data.admin_key_masked}>
          <label class="field">
            {words.address}
            <input name="address" type="url" required defaultValue={data.membridge_server_url} />
          </label>
          <label class="field">
            {words.key}
            <small>{data.admin_key_masked === "" ? words.noKey : words.keyIs(data.admin_key_masked)}</small>
            <input name="key" type="password" required autocomplete="off" />
          </label>
          <div class="buttons">
            <button type="submit" class="primary">
              {words.save}
            </button>
            <button type="button" onClick={() => attempt(async () => setTested(await client.testConnection()))}>
              {words.test}
            </button>
          </div>
        </form>
      )}
      {tested && <p class={tested.connected ? "good" : "bad"}>{tested.connected ? words.answers : tested.error}</p>}
      {data && !data.connected && data.reason !== null && !tested && (
        <p class={isUsed ? "bad" : "soft"}>{data.reason}</p>
      )}
      {data && data.last_test !== null && (
        <p class="soft">
          {words.lastTest} <At at={data.last_test} />
        </p>
      )}
    </section>
  );
}
