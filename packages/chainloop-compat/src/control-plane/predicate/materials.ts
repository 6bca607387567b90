import { create } from "@bufbuild/protobuf";
import {
  AttestationItem_MaterialSchema,
  type AttestationItem_Material as MaterialItem,
} from "../../gen/controlplane/v1/workflow_run_pb.ts";
import { isObject, type JsonObject, objectOf, textMapOf, textOf } from "../json.ts";

const prefix = "chainloop.material";

/** The materials of a predicate (chainloop.dev/attestation/v0.2), in its order. Entries without a name, type or digest are left out. */
export function materialsOf(predicate: JsonObject): MaterialItem[] {
  const { materials } = predicate;
  return Array.isArray(materials) ? materials.flatMap((material) => materialItem(material) ?? []) : [];
}

function materialItem(descriptor: unknown): MaterialItem | undefined {
  if (!isObject(descriptor)) return undefined;
  const annotations = objectOf(descriptor.annotations);
  const name = textOf(annotations[`${prefix}.name`]);
  const type = textOf(annotations[`${prefix}.type`]);
  const hash = textOf(objectOf(descriptor.digest).sha256);
  if (name === "" || type === "" || hash === "") return undefined;

  const uploadedToCas = annotations[`${prefix}.cas`] === true;
  const embeddedInline = annotations[`${prefix}.cas.inline`] === true;
  const isFile = uploadedToCas || embeddedInline;
  const descriptorName = textOf(descriptor.name);
  const value = contentOf(descriptor, { type, isFile, descriptorName });
  return create(AttestationItem_MaterialSchema, {
    ...{ name, type, uploadedToCas, embeddedInline },
    hash: `sha256:${hash}`,
    tag: textOf(annotations[`${prefix}.image.tag`]),
    filename: isFile ? descriptorName : "",
    rawValue: value,
    value: asText(value),
    annotations: textMapOf(annotations),
  });
}

/** The text of a string, the bytes of an embedded file, the name of what lies elsewhere. */
function contentOf(
  descriptor: JsonObject,
  { type, isFile, descriptorName }: { type: string; isFile: boolean; descriptorName: string },
): Buffer {
  const content = textOf(descriptor.content);
  if (type === "STRING" || isFile) return Buffer.from(content, "base64");
  return Buffer.from(descriptorName);
}

/** A protobuf string has to be UTF-8; what is not is in the bytes only. */
function asText(bytes: Buffer): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return "";
  }
}
