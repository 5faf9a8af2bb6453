/** One box for the whole filter: chips for what is chosen, and completion for what is typed. */
import { useId, useRef, useState } from "preact/hooks";
import { Icon } from "../../parts/icon.tsx";
import { texts } from "../../texts.ts";
import { chipsOf, type Filter, show, withTyped } from "./filter.ts";
import { useSuggestions } from "./suggestions.ts";

export function FilterBox({ filter, known }: { filter: Filter; known: { agent: string[]; context: string[] } }) {
  const [typed, setTyped] = useState("");
  const [at, setAt] = useState(-1);
  const [isOpen, setOpen] = useState(false);
  const field = useRef<HTMLInputElement>(null);
  const id = useId();
  const words = texts.value.tasks.filter;
  const suggestions = useSuggestions(typed, known);
  const chips = chipsOf(filter);
  const isShown = isOpen && suggestions.length > 0;

  const add = (text: string) => {
    setAt(-1);
    // A name alone is not a filter yet.
    setTyped(text.endsWith(":") ? text : "");
    if (!text.endsWith(":")) {
      // The suggestions would lie over what was found.
      setOpen(false);
      show(withTyped(filter, text));
    }
    field.current?.focus();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const { key } = event;
    if (key === "ArrowDown" || key === "ArrowUp") {
      event.preventDefault();
      setOpen(true);
      const places = suggestions.length + 1;
      setAt((before) => ((before + 1 + (key === "ArrowDown" ? 1 : places - 1)) % places) - 1);
    } else if (key === "Enter") {
      event.preventDefault();
      add(suggestions[at] ?? typed.trim());
    } else if (key === "Tab" && isShown && typed !== "" && at < 0) {
      const [first = ""] = suggestions;
      event.preventDefault();
      add(first);
    } else if (key === "Escape" && isShown) {
      event.stopPropagation();
      setOpen(false);
    } else if (key === "Backspace" && typed === "") {
      const last = chips.at(-1);
      if (last) show(last.rest);
    }
  };
  return (
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
            onClick={() => add(text)}
            onKeyDown={() => {}}
          >
            <code>{text}</code>
          </div>
        ))}
      </div>
    </div>
  );
}
