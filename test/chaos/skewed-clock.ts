/**
 * Loaded into an instance before it starts: its clock is wrong by as many milliseconds as the file CLOCK_SKEW_FILE says. SIGUSR2 has it read
 * again: the clock jumps.
 */
import { readFileSync } from "node:fs";

const RealDate = Date;
const readSkew = () => Number(readFileSync(process.env.CLOCK_SKEW_FILE ?? "", "utf8"));
let skew = readSkew();
process.on("SIGUSR2", () => {
  skew = readSkew();
});

globalThis.Date = new Proxy(RealDate, {
  construct: (target, args) => Reflect.construct(target, args.length === 0 ? [RealDate.now() + skew] : args),
  get: (target, name) => (name === "now" ? () => RealDate.now() + skew : Reflect.get(target, name)),
});
