/** The page for a service that asks for a key. */
import { useState } from "preact/hooks";
import { Refused } from "../client/index.ts";
import { Fault } from "./parts/fault.tsx";
import { Preferences } from "./parts/preferences.tsx";
import { logIn } from "./session.ts";
import { texts } from "./texts.ts";

const isWrongKey = (error: unknown) => error instanceof Refused && error.status === 401;

export function LogIn() {
  const [fault, setFault] = useState<unknown>();
  const [isBusy, setBusy] = useState(false);
  const { logIn: words, title } = texts.value.shell;
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const given = new FormData(event.currentTarget as HTMLFormElement).get("key");
    const key = typeof given === "string" ? given.trim() : "";
    if (key === "") return setFault(new Error(words.empty));
    setBusy(true);
    // The service names the header that the key was sent in, which nobody sees here.
    await logIn(key).catch((error) => setFault(isWrongKey(error) ? new Error(words.wrong) : error));
    setBusy(false);
  };
  return (
    <main class="log-in">
      <form onSubmit={submit}>
        <p class="brand">{title}</p>
        <h1>{words.title}</h1>
        <p>{words.lead}</p>
        <label>
          {words.key}
          <input name="key" type="password" autocomplete="current-password" spellcheck={false} required autofocus />
        </label>
        <Fault of={fault} />
        <button type="submit" class="primary" disabled={isBusy}>
          {words.button}
        </button>
        <p class="soft">{words.kept}</p>
      </form>
      <Preferences />
    </main>
  );
}
