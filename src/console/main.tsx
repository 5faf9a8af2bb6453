/**
 * The console: pages for people, in the browser. It knows the service only through its client (`src/client/`).
 *
 * A page is one file in `pages/`: its default export is a component (`page-props.ts`), which shows a `<main>` with one
 * `<h1 tabIndex={-1}>`. To add one:
 * 1. Write `pages/<name>.tsx`. `useLiveData` reads its data, and reads it again when an event says that it has changed (`use-live-data.ts`).
 *    Filters are in the address: `place.value.query`, `go(addressOf(…))` (`router.ts`). What keys do on it: `useKeys` (`keyboard.ts`).
 * 2. Name it in `pages.ts`, with its letter and who may see it.
 * 3. Write its texts as `texts/en/<name>.ts` and `texts/uk/<name>.ts`, and name these in `texts/en.ts` and `texts/uk.ts`.
 * 4. Its styles, where the common ones do not do, are a file in `styles/`, named in `styles.css`.
 *
 * Buttons that change something are shown where `may(…)` allows it (`session.ts`), ask by `confirm` (`parts/confirm.tsx`) where that cannot
 * be undone, and tell what came of it by `tell` or `tellFault` (`parts/notice.tsx`). All that a model or a user wrote is shown as text: the
 * page has a policy that refuses any script, style, image and frame of another origin, and any text that would become HTML.
 */
import { render } from "preact";
import { followKeys } from "./keyboard.ts";
import { keepLive } from "./live-events.ts";
import { codeOf, PAGES, pageAt } from "./pages.ts";
import { exactText } from "./parts/time.tsx";
import { addressOf, followLinks, place } from "./router.ts";
import { openSession } from "./session.ts";
import { Shell } from "./shell.tsx";
import { followLanguage, loadTexts } from "./texts.ts";
import { keepTime } from "./ticking-now.ts";

const app = document.getElementById("app");
if (!app) throw new Error("The page has no place for the console.");
// The page's file is loaded while the service is asked who the reader is. A failure is shown later, in the page's place.
const { page, id } = place.value;
const first = pageAt(page);
if (first)
  codeOf(first, id)
    .load()
    .catch(() => {});
await loadTexts();
followLanguage();
followLinks();
followKeys(Object.fromEntries(PAGES.map(({ shortcut, path }) => [shortcut, addressOf(path)])));
keepTime();
keepLive();
app.replaceChildren();
render(<Shell />, app);
const opening = openSession();
// The first text that a browser formats takes it 15 ms or more: it does that while the service answers.
exactText(0);
await opening;
