/**
 * Connects a worker: a name, a CLI, labels and an account where it has them, and the line to paste on its machine, with a key that is made
 * for it.
 */
import { useState } from "preact/hooks";
import type { Worker } from "../../../client/index.ts";
import { CopyButton } from "../../parts/copy.tsx";
import { Fault } from "../../parts/fault.tsx";
import { quoted } from "../../parts/shell-word.ts";
import { labelsIn } from "../../parts/split-labels.ts";
import { WorkerStateOf } from "../../parts/state.tsx";
import { useAction } from "../../parts/use-action.ts";
import { client, session } from "../../session.ts";
import { texts } from "../../texts.ts";

/** The CLIs, each with arguments by which it may use tools, as an example. */
const CLIS: Record<string, string> = {
  claude: "--permission-mode acceptEdits",
  codex: "--sandbox workspace-write",
  gemini: "",
  opencode: "",
};

/** What a shell takes as it is. */
const PLAIN = /^[\w.,-]+$/;

/** Host names at which each machine reaches itself. */
const LOCAL = /^(localhost|127\..*|\[::1\])$/;

export function Connect({ known }: { known: Worker[] }) {
  const words = texts.value.workers.connect;
  const [name, setName] = useState("");
  const [cli, setCli] = useState("claude");
  const [args, setArgs] = useState("");
  const [labels, setLabels] = useState("");
  const [account, setAccount] = useState("");
  const needsKey = session.value.state === "in" && session.value.who.key !== null;
  const { failed, isBusy, attempt } = useAction();
  const [made, setMade] = useState<{ name: string; line: string }>();
  /** The fields say what the line says. Making it again would make one more key. */
  const [isAsFilledIn, setAsFilledIn] = useState(false);

  const make = async (event: SubmitEvent) => {
    event.preventDefault();
    const made = await attempt(async () => {
      // Where no key is needed, a worker needs none either.
      const key = needsKey ? (await client.createKey({ name, role: "work" })).key : undefined;
      return { name, line: lineOf({ name, cli, args, labels, account, key }) };
    });
    if (!made) return;
    setMade(made);
    setAsFilledIn(true);
  };
  const isTaken = name !== made?.name && known.some(({ id, status }) => id === name && status === "online");
  const connected = known.find(({ id, status }) => id === made?.name && status === "online");
  return (
    <section class="card" aria-label={words.title}>
      <h2>{words.title}</h2>
      <p class="soft">
        {words.lead} {words.argsMean}
      </p>
      <form class="form-row" onSubmit={make} onInput={() => setAsFilledIn(false)}>
        <label class="field">
          {words.name}
          <input
            required
            maxLength={128}
            pattern="[A-Za-z0-9._\-]+"
            title={words.nameForm}
            value={name}
            onInput={(event) => setName(event.currentTarget.value)}
          />
        </label>
        <label class="field">
          {words.cli}
          <select value={cli} onChange={(event) => setCli(event.currentTarget.value)}>
            {Object.keys(CLIS).map((each) => (
              <option key={each}>{each}</option>
            ))}
          </select>
        </label>
        <label class="field">
          {words.args}
          <input placeholder={CLIS[cli]} value={args} onInput={(event) => setArgs(event.currentTarget.value)} />
        </label>
        <label class="field">
          {words.labels}
          <input placeholder="gpu, linux" value={labels} onInput={(event) => setLabels(event.currentTarget.value)} />
        </label>
        <label class="field">
          {words.account}
          <input
            maxLength={128}
            list="accounts"
            placeholder={words.ownAccount}
            value={account}
            onInput={(event) => setAccount(event.currentTarget.value)}
          />
        </label>
        <datalist id="accounts">
          {[...new Set(known.map((worker) => worker.account))].map((each) => (
            <option key={each} value={each} />
          ))}
        </datalist>
        <button type="submit" class="primary" disabled={isBusy || isAsFilledIn}>
          {words.make}
        </button>
      </form>
      {isTaken && <p>{words.isTaken(name)}</p>}
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

interface Wanted {
  name: string;
  cli: string;
  args: string;
  labels: string;
  account: string;
  key: string | undefined;
}

function lineOf({ name, cli, args, labels, account, key }: Wanted): string {
  const script = `${location.origin}/api/runtime/agent-install-script?node_id=${encodeURIComponent(name)}&server_url=${encodeURIComponent(location.origin)}`;
  const header = key === undefined ? "" : ' -H "X-Runtime-API-Key: $RUNTIME_API_KEY"';
  const given = Object.entries({
    START: "yes",
    RUNTIME_API_KEY: key,
    CLI: cli,
    CLI_ARGS: args.trim(),
    LABELS: labelsIn(labels).join(","),
    ACCOUNT: account.trim(),
  }).flatMap(([variable, value]) =>
    value === undefined ? [] : [`${variable}=${PLAIN.test(value) ? value : quoted(value)}`],
  );
  // In a shell of its own, with the empty ones: what one line sets, a later one must not find.
  return `(export ${given.join(" ")}; { curl -fsS${header} ${quoted(script)} || echo exit 1; } | sh)`;
}
