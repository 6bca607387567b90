import { encodePageToken, type PageScope } from "@attestry/service-kit";
import fc from "fast-check";
import { mutated } from "./bytes.ts";
import { anyText, uuids } from "./text.ts";

/** The list whose cursors are tried. */
export const scope: PageScope = { kind: "runs", filters: { state: "success", workflow: undefined } };

const real = uuids.map((id) => encodePageToken(scope, id));

/** Cursors of lists: real ones, those of other lists, and what is close to one. */
export const cursors: fc.Arbitrary<string> = fc.oneof(
  { weight: 2, arbitrary: real },
  { weight: 1, arbitrary: uuids.map((id) => encodePageToken({ kind: "tokens", filters: {} }, id)) },
  { weight: 1, arbitrary: fc.nat().map((id) => encodePageToken(scope, String(id))) },
  { weight: 3, arbitrary: mutated(real.map((token) => Buffer.from(token))).map((bytes) => bytes.toString("latin1")) },
  {
    weight: 3,
    arbitrary: mutated(real.map((token) => Buffer.from(token, "base64url"))).map((bytes) =>
      bytes.toString("base64url"),
    ),
  },
  { weight: 1, arbitrary: anyText },
  { weight: 1, arbitrary: anyText.map((text) => encodePageToken(scope, text)) },
);
