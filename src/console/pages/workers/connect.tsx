/** Connects a worker: a name, a CLI, and the line to paste on its machine, with a key that is made for it. */
import { useState } from "preact/hooks";
import type { Worker } from "../../../client/index.ts";
import { CopyButton } from "../../parts/copy.tsx";
import { Fault } from "../../parts/fault.tsx";
import { WorkerStateOf } from "../../parts/state.tsx";
import { useAttempt } from "../../parts/use-attempt.ts";
import { client, session } from "../../session.ts";
import { texts } from "../../texts.ts";

const CLIS = ["claude", "codex", "gemini", "opencode"] as const;

/** Host names at which each machine reaches itself. */
const LOCAL = /^(localhost|127\..*|\[::1\])$/;

export function Connect({ known }: { known: Worker[] }) {
  const words = texts.value.workers.connect;
  const [name, setName] = useState("");
  const [cli, setCli] = useState<string>(CLIS[0]);
  const needsKey = session.value.state === "in" && session.value.who.key !== null;
  const { failed, attempt } = useAttempt();
  const [made, setMade] = useState<{ name: string; line: string }>();

  const make = async (event: SubmitEvent) => {
    event.preventDefault();
    const made = await attempt(async () => {
      // Where no key is needed, a worker needs none either.
      const key = needsKey ? (await client.createKey({ name, role: "work" })).key : undefined;
      return { name, line: lineOf(name, cli, key) };
    });
    if (made) setMade(made);
  };
  const connected = known.find(({ id, status }) => id === made?.name && status === "online");
  return (
    <section class="card" aria-label={words.title}>
      <h2>{words.title}</h2>
      <p class="soft">{words.lead}</p>
      <form class="form-row" onSubmit={make}>
        <label class="field">
          {words.name}
          <input
            required
            maxLength={128}
            pattern="[A-Za-z0-9._\-]+"
            value={name}
            onInput={(event) => setName(event.currentTarget.value)}
          />
        </label>
        <label class="field">
          {words.cli}
          <select value={cli} onChange={(event) => setCli(event.currentTarget.value)}>
            {CLIS.map((each) => (
              <option key={each}>{each}</option>
            ))}
          </select>
        </label>
        <button type="submit" class="primary">
          {words.make}
        </button>
      </form>
      <Fault of={failed} />
      {made && (
        <>
          <p>
            {words.paste} {needsKey && words.pasteKey} {LOCAL.test(location.hostname) && words.local(location.hostname)}
          </p>
          <pre class="code">{made.line}</pre>
          <div class="row">
            <CopyButton text={made.line} label={texts.value.common.copy} />
            {connected ? <WorkerStateOf worker={connected} /> : <span class="soft">{words.waits(made.name)}</span>}
          </div>
        </>
      )}
    </section>
  );
}

function lineOf(name: string, cli: string, key: string | undefined): string {
  const script = `${location.origin}/api/runtime/agent-install-script?node_id=${encodeURIComponent(name)}&server_url=${encodeURIComponent(location.origin)}`;
  const header = key === undefined ? "" : ' -H "X-Runtime-API-Key: $RUNTIME_API_KEY"';
  const given = key === undefined ? `export CLI=${cli}` : `export RUNTIME_API_KEY=${key} CLI=${cli}`;
  return `${given}; curl -fsS${header} '${script}' | sh && nohup ~/.bloom-worker/run.sh > ~/.bloom-worker/worker.log 2>&1 &`;
}
