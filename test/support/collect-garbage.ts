import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");

/** Has V8 collect what nothing holds any more. */
export const collectGarbage: () => void = runInNewContext("gc");
