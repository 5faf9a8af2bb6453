import { useState } from "preact/hooks";
import type { Key } from "../../../client/index.ts";
import { confirm } from "../../parts/confirm.tsx";
import { Fault } from "../../parts/fault.tsx";
import { Secret } from "../../parts/secret.tsx";
import { Ago, At } from "../../parts/time.tsx";
import { useAction } from "../../parts/use-action.ts";
import { client } from "../../session.ts";
import { texts } from "../../texts.ts";
import { useLiveData } from "../../use-live-data.ts";

const ROLES = ["submit", "work", "read", "admin"] as const satisfies Key["role"][];

/** The named keys: one is shown once, when it is made. */
export function Keys() {
  const words = texts.value.settings.keys;
  const { data, trouble, reload } = useLiveData((signal) => client.listKeys({}, { signal }), {
    wants: ({ type }) => type.startsWith("key."),
  });
  const { failed, isBusy, attempt } = useAction(reload);
  const [made, setMade] = useState<{ name: string; key: string }>();
  const make = async (event: SubmitEvent) => {
    event.preventDefault();
    const form = event.target;
    if (!(form instanceof HTMLFormElement)) return;
    const given = new FormData(form);
    const role = ROLES.find((each) => each === given.get("role"));
    if (!role) return;
    const key = await attempt(() => client.createKey({ name: String(given.get("name")), role }));
    if (!key) return;
    setMade(key);
    // With an empty form, another click makes no second key: the browser asks for a name.
    form.reset();
  };
  const valid = data?.filter(({ revoked_at }) => revoked_at === null);
  const revoke = async ({ name, created_at }: Key) => {
    const { ask, askOlder, askBoth, means, action } = words.revoke;
    const other = valid?.find((key) => key.name === name && key.created_at !== created_at);
    const isOlder = other !== undefined && created_at < other.created_at;
    const title = (other === undefined ? ask : isOlder ? askOlder : askBoth)(name);
    if (await confirm({ title, body: means, action, isDangerous: true }))
      await attempt(() => client.revokeKey({ name, ...(isOlder && { older: "true" }) }));
  };
  return (
    <section class="card" aria-label={words.title}>
      <h2>{words.title}</h2>
      <p class="soft">{words.lead}</p>
      <Fault {...trouble} />
      <Fault of={failed} />
      {valid && valid.length > 0 && (
        <div class="wide">
          <table class="table stacked">
            <tbody>
              {valid.map((key) => (
                <tr key={`${key.name} ${key.created_at}`}>
                  <th scope="row">{key.name}</th>
                  <td>{words.roles[key.role]}</td>
                  <td class="soft">
                    {words.madeAt} <At at={key.created_at} />
                  </td>
                  <td class="soft">
                    {key.last_used_at === null ? (
                      words.unused
                    ) : (
                      <>
                        {words.used} <Ago at={key.last_used_at} />
                      </>
                    )}
                  </td>
                  <td class="number">
                    <button type="button" class="quiet" onClick={() => revoke(key)}>
                      {words.revoke.action}
                    </button>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {made && <Secret means={words.made(made.name)} text={made.key} close={() => setMade(undefined)} />}
      <form class="form-row" onSubmit={make}>
        <label class="field">
          {words.name}
          <input name="name" required maxLength={128} pattern="[A-Za-z0-9._\-]+" />
        </label>
        <label class="field">
          {words.role}
          <select name="role" required>
            <option value="">{words.choose}</option>
            {ROLES.map((each) => (
              <option key={each} value={each}>
                {words.roles[each]}
              </option>
            ))}
          </select>
        </label>
        <button type="submit" disabled={isBusy}>
          {words.make}
        </button>
      </form>
    </section>
  );
}
