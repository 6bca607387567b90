import { randomUUID } from "node:crypto";
import { link, rename, unlink, writeFile } from "node:fs/promises";

/** Another process may do the same now: the file appears with all its content, once, or was there before. */
export async function createWhole(file: string, text: string, mode: number): Promise<void> {
  const whole = await writeTemporary(file, text, mode);
  await link(whole, file).catch(unlessItExists);
  await unlink(whole);
}

/** Whoever reads the file meanwhile gets the former content or all of the new one. */
export async function replaceWhole(file: string, text: string, mode: number): Promise<void> {
  await rename(await writeTemporary(file, text, mode), file);
}

async function writeTemporary(file: string, text: string, mode: number): Promise<string> {
  const whole = `${file}.${randomUUID()}.tmp`;
  await writeFile(whole, text, { mode, flag: "wx" });
  return whole;
}

function unlessItExists(error: NodeJS.ErrnoException): void {
  if (error.code !== "EEXIST") throw error;
}
