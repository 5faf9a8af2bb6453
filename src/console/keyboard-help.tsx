/** The dialog that names the keys. */
import { useEffect, useRef } from "preact/hooks";
import { isHelpOpen } from "./keyboard.ts";
import { PAGES } from "./pages.ts";
import { shortcuts } from "./preferences.ts";
import { may } from "./session.ts";
import { texts } from "./texts.ts";

export function Help() {
  const dialog = useRef<HTMLDialogElement>(null);
  const isOpen = isHelpOpen.value;
  useEffect(() => {
    if (isOpen) dialog.current?.showModal();
  }, [isOpen]);
  if (!isOpen) return null;
  const { keys, pages } = texts.value.shell;
  const { close } = texts.value.common;
  const shown = () => dialog.current?.close();
  const anywhere = [
    ["?", keys.help],
    ["/", keys.filter],
    ["Esc", keys.escape],
  ];
  const lists = [
    ["j", keys.down],
    ["k", keys.up],
    ["Enter", keys.open],
    ["x", keys.select],
  ];
  return (
    <dialog ref={dialog} class="help" onClose={() => (isHelpOpen.value = false)} aria-labelledby="help-title">
      <h2 id="help-title">{keys.title}</h2>
      <label class="check">
        <input
          type="checkbox"
          checked={shortcuts.value === "on"}
          onChange={(event) => (shortcuts.value = event.currentTarget.checked ? "on" : "off")}
        />
        {keys.enabled}
      </label>
      <div class="columns">
        <Table title={keys.anywhere} rows={anywhere} />
        <Table title={keys.lists} rows={lists} />
        <Table
          title={keys.go}
          rows={PAGES.filter(({ needs }) => may(needs)).map(({ shortcut, name }) => [`g ${shortcut}`, pages[name]])}
        />
      </div>
      <div class="buttons">
        <button type="button" onClick={shown}>
          {close}
        </button>
      </div>
    </dialog>
  );
}

function Table({ title, rows }: { title: string; rows: string[][] }) {
  return (
    <section>
      <h3>{title}</h3>
      <dl>
        {rows.map(([key = "", means]) => (
          <div key={key}>
            <dt>
              {key.split(" ").map((each) => (
                <kbd key={each}>{each}</kbd>
              ))}
            </dt>
            <dd>{means}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}
