/** Loaded into an instance before it starts: its clock is wrong by CLOCK_SKEW_MS milliseconds. */
const skew = Number(process.env.CLOCK_SKEW_MS ?? 0);
const RealDate = Date;

globalThis.Date = new Proxy(RealDate, {
  construct: (target, args) => Reflect.construct(target, args.length === 0 ? [RealDate.now() + skew] : args),
  get: (target, name) => (name === "now" ? () => RealDate.now() + skew : Reflect.get(target, name)),
});

export {};
