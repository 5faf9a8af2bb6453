import { texts } from "../../texts.ts";

/** A field of the form. */
export type FieldFacts = {
  name: keyof ReturnType<typeof words>;
  required?: boolean;
} & (
  | { kind: "text"; maxLength: number }
  | { kind: "long" | "list" }
  | { kind: "number"; min: number; max?: number }
  | { kind: "choice"; values: readonly string[] }
);

const words = () => texts.value.newTask.fields;

export interface FieldProps {
  facts: FieldFacts;
  value: string;
  set(name: string, value: string): void;
}

export function Field({ facts, value, set }: FieldProps) {
  const { name, required = false } = facts;
  const [label, hint] = words()[name].split(" | ");
  const shared = {
    id: name,
    name,
    required,
    value,
    onInput: ({ currentTarget }: { currentTarget: { value: string } }) => set(name, currentTarget.value),
  };
  return (
    <div class="field">
      <label htmlFor={name}>{label}</label>
      {hint !== undefined && <small>{hint}</small>}
      {facts.kind === "long" && <textarea {...shared} rows={8} />}
      {(facts.kind === "text" || facts.kind === "list") && (
        <input {...shared} maxLength={facts.kind === "text" ? facts.maxLength : undefined} />
      )}
      {facts.kind === "number" && <input {...shared} type="number" min={facts.min} max={facts.max} step="any" />}
      {facts.kind === "choice" && (
        <select {...shared}>
          {facts.values.map((each) => (
            <option key={each}>{each}</option>
          ))}
        </select>
      )}
    </div>
  );
}
