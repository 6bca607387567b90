import { readFile, writeFile } from "node:fs/promises";

const mebibyte = 1024 * 1024;

/** Resident memory of a process while something ran, in MiB (Linux: proc(5), VmRSS and VmHWM). */
export async function peakOf(pid: number, run: () => Promise<void>): Promise<{ before: number; highest: number }> {
  const before = await read(pid, "VmRSS");
  // Sets the high-water mark back to what is resident now.
  await writeFile(`/proc/${pid}/clear_refs`, "5");
  await run();
  return { before, highest: await read(pid, "VmHWM") };
}

async function read(pid: number, field: "VmRSS" | "VmHWM"): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  const kibibytes = Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(status)?.[1]);
  return Math.round((kibibytes * 1024) / mebibyte);
}
