/** The choice of language and colours. */
import type { Signal } from "@preact/signals";
import { LANGUAGES } from "../language.ts";
import { language, THEMES, theme } from "../preferences.ts";
import { texts } from "../texts.ts";

export function Preferences() {
  const { language: languageWord, languages, theme: themeWord, themes } = texts.value.shell;
  return (
    <div class="preferences">
      <Choice label={languageWord} values={LANGUAGES} words={languages} chosen={language} />
      <Choice label={themeWord} values={THEMES} words={themes} chosen={theme} />
    </div>
  );
}

function Choice<Value extends string>({
  label,
  values,
  words,
  chosen,
}: {
  label: string;
  values: readonly Value[];
  words: Record<Value, string>;
  chosen: Signal<Value>;
}) {
  const choose = (given: string) => {
    chosen.value = values.find((value) => value === given) ?? chosen.value;
  };
  return (
    <label class="choice">
      <span>{label}</span>
      <select value={chosen.value} onChange={(event) => choose(event.currentTarget.value)}>
        {values.map((value) => (
          <option key={value} value={value}>
            {words[value]}
          </option>
        ))}
      </select>
    </label>
  );
}
