// Preloaded into one process by NODE_OPTIONS=--import: its clock is CLOCK_SHIFT_MS off. Timers go on as they were.
const shiftMs = Number(process.env.CLOCK_SHIFT_MS);
if (!Number.isInteger(shiftMs)) throw new Error(`CLOCK_SHIFT_MS must be whole milliseconds; came "${shiftMs}"`);

const now = Date.now.bind(Date);
Date.now = () => now() + shiftMs;
globalThis.Date = new Proxy(Date, {
  construct: (target, args, newTarget) =>
    Reflect.construct(target, args.length === 0 ? [target.now()] : args, newTarget) as Date,
});
