import { useState } from "preact/hooks";
import { confirm } from "../../parts/confirm.tsx";
import { Fault } from "../../parts/fault.tsx";
import { Secret } from "../../parts/secret.tsx";
import { Ago } from "../../parts/time.tsx";
import { useAction } from "../../parts/use-action.ts";
import { client } from "../../session.ts";
import { texts } from "../../texts.ts";
import { useLiveData } from "../../use-live-data.ts";

/** Who is told of events, and what became of it. */
export function Webhooks() {
  const words = texts.value.settings.webhooks;
  const { data, trouble, reload } = useLiveData((signal) => client.listWebhooks({}, { signal }), {
    wants: ({ type }) => type.startsWith("webhook."),
  });
  const { failed, isBusy, attempt } = useAction(reload);
  const [secret, setSecret] = useState<string>();
  const make = async (event: SubmitEvent) => {
    event.preventDefault();
    const form = event.target;
    if (!(form instanceof HTMLFormElement)) return;
    const given = new FormData(form);
    const events = String(given.get("events"))
      .split(/[\s,]+/)
      .filter(Boolean);
    const webhook = await attempt(() => client.createWebhook({ url: String(given.get("url")), events }));
    if (!webhook) return;
    setSecret(webhook.secret);
    form.reset();
  };
  const remove = async (id: string, url: string) => {
    const { ask, means, action } = words.remove;
    if (await confirm({ title: ask(url), body: means, action, isDangerous: true }))
      await attempt(() => client.removeWebhook({ id }));
  };
  return (
    <section class="card" aria-label={words.title}>
      <h2>{words.title}</h2>
      <p class="soft">{words.lead}</p>
      <Fault {...trouble} />
      <Fault of={failed} />
      {data?.map(({ id, url, events, off_since, off_reason, last_success_at }) => (
        <div key={id} class="head">
          <div>
            <strong>{url}</strong> <span class="soft">{events.join(", ")}</span>
            <p class={off_since === null ? "soft" : "bad"}>
              {off_since !== null ? (
                (off_reason ?? words.off)
              ) : last_success_at === null ? (
                words.unused
              ) : (
                <>
                  {words.delivered} <Ago at={last_success_at} />
                </>
              )}
            </p>
          </div>
          <div class="buttons">
            <button type="button" onClick={() => attempt(() => client.changeWebhook({ id, on: off_since !== null }))}>
              {off_since === null ? words.turnOff : words.turnOn}
            </button>
            <button type="button" class="quiet" onClick={() => remove(id, url)}>
              {words.remove.action}
            </button>
          </div>
        </div>
      ))}
      {secret !== undefined && <Secret means={words.made} text={secret} close={() => setSecret(undefined)} />}
      <form class="form-row" onSubmit={make}>
        <label class="field">
          {words.url}
          <input name="url" type="url" required />
        </label>
        <label class="field">
          {words.events}
          <input name="events" required defaultValue="task.*" />
        </label>
        <button type="submit" disabled={isBusy}>
          {words.make}
        </button>
      </form>
    </section>
  );
}
