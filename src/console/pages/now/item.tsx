/** A line about what needs attention. */
import type { ComponentChildren } from "preact";
import { texts } from "../../texts.ts";

export interface Item {
  key: string;
  tone: "bad" | "wait";
  /** True for what is over by itself at a known time: it comes last. */
  isPassing?: boolean;
  says: ComponentChildren;
  mends: ComponentChildren;
}

/** The most lines of a kind; the page of that kind has the rest. */
export const MOST = 4;
export const link = (address: string) => (
  <a class="button" href={address}>
    {texts.value.now.look}
  </a>
);
