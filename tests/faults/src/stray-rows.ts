import type { Entry } from "./load.ts";
import type { BlobInStore, World } from "./world.ts";

/**
 * What the rows themselves say, whatever the services answer from their caches: rows for nothing, confirmations of what
 * is not in the store, bytes that are not those of their digest, blobs that neither a row nor an intent tells gc of.
 */
export async function strayRows(
  world: World,
  entries: readonly Entry[],
  blobs: ReadonlyMap<string, BlobInStore>,
): Promise<string[]> {
  const stored = new Map(entries.map(({ runId, digest }) => [runId, digest.slice("sha256:".length)]));
  const attestations = await world.query<{ runId: string; hex: string; right: boolean }>(
    `select run_id as "runId", encode(digest, 'hex') as hex, bundle is null or sha256(bundle) = digest as right
     from attestation`,
  );
  const uploads = await world.query<{ runId: string; hex: string; state: string; orphan: boolean }>(
    `select u.run_id as "runId", encode(u.digest, 'hex') as hex, u.state, a.id is null as orphan
     from upload u left join attestation a on a.id = u.attestation_id and a.digest = u.digest`,
  );
  const intents = await world.query<{ hex: string }>(`select encode(digest, 'hex') as hex from intent`);
  const told = new Set([...attestations, ...intents].map(({ hex }) => hex));
  return [
    ...[...blobs.keys()].filter((hex) => !told.has(hex)).map((hex) => `blob ${hex}: neither a row nor an intent`),
    ...attestations.flatMap(({ runId, hex, right }) => [
      ...(stored.get(runId) === hex ? [] : [`run ${runId}: a row with ${hex}, which nobody stored for it`]),
      ...(right ? [] : [`run ${runId}: the row has other bytes`]),
    ]),
    ...uploads.flatMap(({ runId, hex, state, orphan }) => [
      ...(orphan ? [`run ${runId}: an upload for nothing`] : []),
      ...(state === "confirmed" && !blobs.has(hex)
        ? [`run ${runId}: an upload is confirmed, and the store lacks it`]
        : []),
    ]),
  ];
}
