import { texts } from "../texts.ts";

/** What needs attention first, and how the work goes. */
export default function Now() {
  return (
    <main>
      <h1 tabIndex={-1}>{texts.value.shell.pages.now}</h1>
    </main>
  );
}
