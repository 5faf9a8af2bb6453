/** What each language must have: the keys of the English texts. */
import type { en } from "./en.ts";

type Same<Text> = Text extends string
  ? string
  : Text extends (...values: infer Values) => string
    ? (...values: Values) => string
    : { [Name in keyof Text]: Same<Text[Name]> };

export type Texts = Same<typeof en>;
