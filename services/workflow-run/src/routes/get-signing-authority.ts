import type { SigningServiceGetAuthorityRequest, SigningServiceGetAuthorityResponseSchema } from "@attestry/api/run";
import { apiPrincipal } from "@attestry/service-kit";
import { type FormerAuthority, signerOf } from "@attestry/service-kit/certificates";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { AppContext } from "../context.ts";
import { signingNotSetUp } from "../signing/watched-authority.ts";

/** SigningService.GetAuthority. */
export async function getSigningAuthority(
  { signing }: AppContext,
  _request: SigningServiceGetAuthorityRequest,
  call: HandlerContext,
): Promise<MessageInitShape<typeof SigningServiceGetAuthorityResponseSchema>> {
  if (signing === undefined) throw signingNotSetUp();
  const { current } = signing;
  const signer = signerOf(apiPrincipal(call).organizationId);
  return { ...messageOf(current), former: current.former.map(messageOf), signer };
}

function messageOf({ certificates, subjectKeyId }: FormerAuthority): {
  certificates: string[];
  subjectKeyId: Uint8Array<ArrayBuffer>;
} {
  return { certificates: [...certificates], subjectKeyId: Uint8Array.from(subjectKeyId) };
}
