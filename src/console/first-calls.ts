/**
 * A script of its own, so small that it runs while the console's code is still loaded: it sends the calls that the page begins with, and has the
 * texts of its language loaded. `session.ts` takes the answers (`first-answers.ts`).
 */
import { type FirstCalls, forgetFirstAnswers } from "./first-answers.ts";
import { keptChoice } from "./kept-choices.ts";
import { preferredLanguage } from "./language.ts";
import { knownWho, storedKey } from "./tab-storage.ts";

/** Where the Ukrainian texts are; the build puts it here. */
declare const UKRAINIAN_TEXTS: string;

const key = storedKey();
const calls: FirstCalls = new Map();
window.firstCalls = calls;

function send(path: string, accept: string): void {
  const stop = new AbortController();
  const headers = { Accept: accept, ...(key !== undefined && { "X-Runtime-API-Key": key }) };
  const answer = fetch(path, { headers, redirect: "manual", signal: stop.signal });
  // The console meets the failure when it takes the answer.
  answer.catch(() => {});
  calls.set(location.origin + path, { answer, stop });
}

if (!knownWho()) send("/api/runtime/whoami", "application/json");
// A hidden tab follows nothing.
if (!document.hidden) {
  send("/api/runtime/events", "text/event-stream");
  // The numbers may be some seconds old in any case, and are read every 30 s: they need not wait for the stream, as other readings do.
  if (/^\/console\/?$/.test(location.pathname)) send("/api/runtime/overview", "application/json");
}
document.addEventListener("visibilitychange", forgetFirstAnswers, { once: true });

if ((keptChoice("language") ?? preferredLanguage()) === "uk") {
  const link = document.createElement("link");
  link.rel = "modulepreload";
  link.href = UKRAINIAN_TEXTS;
  document.head.append(link);
}
