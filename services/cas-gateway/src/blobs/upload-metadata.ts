import { safeFileName } from "@attestry/service-kit";

const nameKey = "attestry-name";
const encodedPattern = /^[A-Za-z0-9_-]+$/;

/**
 * The name of the file in what follows the size in the name of an upload: `attestry-name/{base64url of UTF-8}`. Metadata is each
 * client's own by the Remote Execution API: what is anything else, or no name for a file, is passed over and refuses no upload.
 */
export function fileNameIn([key, encoded]: readonly string[]): string | undefined {
  if (key !== nameKey || encoded === undefined || !encodedPattern.test(encoded)) return undefined;
  return safeFileName(Buffer.from(encoded, "base64url").toString());
}
