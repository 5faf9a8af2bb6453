import { texts } from "../texts.ts";

/** The tasks. */
export default function Tasks() {
  return (
    <main>
      <h1 tabIndex={-1}>{texts.value.shell.pages.tasks}</h1>
    </main>
  );
}
