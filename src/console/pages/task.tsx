import { texts } from "../texts.ts";

/** One task. */
export default function TaskPage() {
  return (
    <main>
      <h1 tabIndex={-1}>{texts.value.shell.pages.tasks}</h1>
    </main>
  );
}
