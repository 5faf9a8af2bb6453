/** Audit entries in the reader's language. */
import { texts } from "../texts.ts";
import { withLocalTimes } from "./time.tsx";

/** What was done. An action that only the earlier service knew is shown by its name. */
export function actionText(action: string): string {
  const words: Record<string, string> = texts.value.actions;
  return Object.hasOwn(words, action) ? (words[action] ?? action) : action;
}

/** What the entry says, with its times in the reader's zone. */
export const detailText = (detail: string): string => withLocalTimes(texts.value.audit.said(detail));
