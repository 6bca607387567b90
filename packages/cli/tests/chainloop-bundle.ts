import { createHash, randomUUID } from "node:crypto";

export const sha256 = (bytes: Uint8Array) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

/** A bundle as chainloop's command line makes them, but for the signature, which no key is there to check; like no other. */
export function chainloopBundle(
  materials: readonly Uint8Array[] = [],
  predicate: object = {},
  fileNames: readonly (string | undefined)[] = materials.map((_bytes, index) => `file-${index}`),
): Buffer {
  const statement = {
    _type: "https://in-toto.io/Statement/v1",
    subject: [{ name: "chainloop.workflow.build", digest: { sha256: sha256(Buffer.from(randomUUID())).slice(7) } }],
    predicateType: "chainloop.dev/attestation/v0.2",
    predicate: {
      buildType: "chainloop.dev/workflowrun/v0.1",
      materials: materials.map((bytes, index) => ({
        name: fileNames[index],
        digest: { sha256: sha256(bytes).slice(7) },
        annotations: {
          "chainloop.material.cas": true,
          "chainloop.material.name": `material-${index}`,
          "chainloop.material.size": String(bytes.byteLength),
          "chainloop.material.type": "ARTIFACT",
        },
      })),
      ...predicate,
    },
  };
  const payload = Buffer.from(JSON.stringify(statement)).toString("base64");
  return Buffer.from(
    JSON.stringify({
      mediaType: "application/vnd.dev.sigstore.bundle.v0.3+json",
      verificationMaterial: { publicKey: { hint: "" } },
      dsseEnvelope: { payload, payloadType: "application/vnd.in-toto+json", signatures: [{ sig: "c2lnbmF0dXJl" }] },
    }),
  );
}
