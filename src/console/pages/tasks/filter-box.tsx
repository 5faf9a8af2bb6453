/** One box for the whole filter: chips for what is chosen, and completion for what is typed. */
import { useId, useRef, useState } from "preact/hooks";
import { Fault } from "../../parts/fault.tsx";
import { Icon } from "../../parts/icon.tsx";
import { texts } from "../../texts.ts";
import { chipsOf, type Filter, isName, lastTermOf, NAMES, show, withTyped } from "./filter.ts";
import { useSuggestions } from "./suggestions.ts";

export function FilterBox({ filter, known }: { filter: Filter; known: { agent: string[]; context: string[] } }) {
  const [typed, setTyped] = useState("");
  const [unknown, setUnknown] = useState<string>();
  const [at, setAt] = useState(-1);
  const [isOpen, setOpen] = useState(false);
  const field = useRef<HTMLInputElement>(null);
  const id = useId();
  const words = texts.value.tasks.filter;
  const [before, term] = lastTermOf(typed);
  const suggestions = useSuggestions(term, known);
  const chips = chipsOf(filter);
  const isShown = isOpen && suggestions.length > 0;

  const add = (text: string) => {
    setAt(-1);
    field.current?.focus();
    // A name alone is not a filter yet.
    const [, name = ""] = /(\w+):$/.exec(text) ?? [];
    if (isName(name)) return setTyped(text);
    // The suggestions would lie over what was found.
    setOpen(false);
    const found = withTyped(filter, text);
    setUnknown(found.unknown);
    // What cannot be used can be mended.
    setTyped(found.unknown === undefined ? "" : text);
    if (found.unknown === undefined) show(found.filter);
  };
  const complete = (suggestion: string) => add(before + suggestion);
  const onKeyDown = (event: KeyboardEvent) => {
    const { key } = event;
    if (key === "ArrowDown" || key === "ArrowUp") {
      event.preventDefault();
      setOpen(true);
      const places = suggestions.length + 1;
      setAt((last) => ((last + 1 + (key === "ArrowDown" ? 1 : places - 1)) % places) - 1);
    } else if (key === "Enter") {
      event.preventDefault();
      const suggestion = suggestions[at];
      if (suggestion === undefined) add(typed.trim());
      else complete(suggestion);
    } else if (key === "Tab" && isShown && term !== "" && at < 0) {
      const [first = ""] = suggestions;
      event.preventDefault();
      complete(first);
    } else if (key === "Escape" && isShown) {
      event.stopPropagation();
      setOpen(false);
    } else if (key === "Backspace" && typed === "") {
      const last = chips.at(-1);
      if (last) show(last.rest);
    }
  };
  const box = (
    <div class="filter-box">
      <Icon name="search" />
      {chips.map(({ name, value, rest }) => (
        <span class="chip" key={`${name}:${value}`}>
          {name === "q" ? `“${value}”` : `${name}:${value}`}
          <button type="button" class="plain" aria-label={words.remove(`${name} ${value}`)} onClick={() => show(rest)}>
            <Icon name="close" />
          </button>
        </span>
      ))}
      <input
        ref={field}
        data-filter
        type="text"
        role="combobox"
        autocomplete="off"
        autocapitalize="off"
        spellcheck={false}
        aria-label={words.label}
        aria-expanded={isShown}
        aria-controls={id}
        aria-activedescendant={isShown && at >= 0 ? `${id}-${at}` : undefined}
        placeholder={chips.length === 0 ? words.placeholder : ""}
        value={typed}
        onInput={({ currentTarget }) => {
          setTyped(currentTarget.value);
          setUnknown(undefined);
          setAt(-1);
          setOpen(true);
        }}
        onFocus={() => setOpen(true)}
        onBlur={() => setOpen(false)}
        onKeyDown={onKeyDown}
      />
      <div id={id} role="listbox" class="suggestions" hidden={!isShown} aria-label={words.suggestions}>
        {suggestions.map((text, n) => (
          <div
            key={text}
            id={`${id}-${n}`}
            role="option"
            tabIndex={-1}
            aria-selected={n === at}
            // The field keeps the focus.
            onMouseDown={(event) => event.preventDefault()}
            onClick={() => complete(text)}
            onKeyDown={() => {}}
          >
            <code>{text}</code>
          </div>
        ))}
      </div>
    </div>
  );
  return (
    <>
      {box}
      <Fault of={unknown && words.unknown(unknown, Object.keys(NAMES).join(", "))} />
    </>
  );
}
