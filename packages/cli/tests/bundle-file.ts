import { createHash, randomUUID } from "node:crypto";
import { writeFile } from "node:fs/promises";
import path from "node:path";

/** A new file with a bundle that no other has. */
export async function bundleFile(folder: string): Promise<{ file: string; digest: string }> {
  const statement = {
    _type: "https://in-toto.io/Statement/v1",
    subject: [{ name: "app", digest: { sha256: "a".repeat(64) } }],
    predicateType: "https://slsa.dev/provenance/v1",
    predicate: { id: randomUUID() },
  };
  const payload = Buffer.from(JSON.stringify(statement)).toString("base64");
  const text = JSON.stringify({ payload, payloadType: "application/vnd.in-toto+json", signatures: [{ sig: "c2ln" }] });
  const file = path.join(folder, `${randomUUID()}.json`);
  await writeFile(file, text);
  return { file, digest: `sha256:${createHash("sha256").update(text).digest("hex")}` };
}
