/** What a person can do about an error, by its reason. Only where the message alone does not say it. */
const hints: Record<string, string> = {
  CONNECTION_FAILED:
    "is a server running there? Give its address by --addr or ATTESTRY_ADDR; `npm start` runs one on http://127.0.0.1:7700",
  TOKEN_MISSING:
    "give a token by --token or ATTESTRY_TOKEN; a standalone server keeps its first one in <data dir>/admin-token",
  TOKEN_MALFORMED: "check that --token or ATTESTRY_TOKEN holds a whole token as `attestry token create` printed it",
  TOKEN_EXPIRED: "make a new one with `attestry token create`",
  TOKEN_REVOKED: "make a new one with `attestry token create`",
  TOKEN_SIGNATURE_INVALID: "the token was made by another server; use one of this server",
  TOKEN_AUDIENCE_WRONG: "use an API token, as `attestry token create` makes it",
  ROLE_INSUFFICIENT:
    "use a token with a higher role; an admin makes one with `attestry token create --name NAME --role ROLE`",
  BUNDLE_COMPRESSED: "unpack the file first",
  BUNDLE_EMPTY: "did the step that writes the bundle fail?",
  SIGNATURE_NOT_CHECKED: "give the public key of the signer by --key",
  MESSAGE_SIGNATURE: "the bundle signs a file directly; store an attestation: an in-toto statement in a DSSE envelope",
  RUN_CANCELLED: "start a new run: leave --run out and give --workflow PROJECT/NAME",
  RUN_FAILED: "start a new run: leave --run out and give --workflow PROJECT/NAME",
  RUN_EXPIRED: "start a new run: leave --run out and give --workflow PROJECT/NAME",
  RUN_HAS_OTHER_ATTESTATION: "a run keeps one attestation; start a new run for another one",
  RUN_NOT_FOUND: "`attestry run list` shows the runs of your organization",
  ATTESTATION_NOT_FOUND: "`attestry list` shows the attestations of your organization",
  BACKEND_NOT_FOUND: "`attestry backend list` shows them",
  BACKEND_INLINE:
    "blobs need an external backend: `attestry backend add NAME --provider s3|filesystem --secret-ref REF --default`",
  BLOB_TOO_LARGE: "an admin allows more with `attestry backend update NAME --max-bytes SIZE`",
  BACKEND_INVALID: "`attestry backend validate NAME` says what is wrong with it",
  BACKEND_IS_DEFAULT: "`attestry backend default OTHER` does that; `attestry backend list` shows the others",
  ORGANIZATION_NOT_FOUND: "`attestry org list` shows those that your token may see",
  TRUST_NOT_SET: "`attestry trust set` says whom the organization trusts",
  TRUST_NOT_FOUND: "`attestry trust set` says whom the organization trusts",
  SIGNER_UNTRUSTED: "`attestry trust show` shows whom the organization trusts",
  CONTRACT_NOT_FOUND: "`attestry contract list` shows them",
  CONTRACT_EXISTS: "`attestry contract update NAME FILE` gives it another text",
  CONTRACT_REVISION_NOT_FOUND: "`attestry contract show NAME` shows the latest",
  PROJECT_VERSION_NOT_FOUND: "a run makes it: `attestry run start PROJECT/NAME --project-version VERSION`",
  WORKFLOW_NOT_FOUND: "`attestry workflow list` shows them",
  TOKEN_NOT_FOUND: "`attestry token list` shows them",
  PAGE_TOKEN_INVALID: "a page token goes with the same filters as the page that gave it",
  CAS_UNAVAILABLE: "the storage backend does not answer; `attestry status` and `attestry backend list` show more",
  SOURCE_CHANGED: "try again when nothing writes to the file",
  DATA_DIR_LOCKED: "stop the server and wait until it has ended",
  DATA_DIR_FOREIGN: "give the data directory by --data-dir or ATTESTRY_DATA_DIR",
  PUBLIC_URL_UNSET:
    "the server needs CAS_GATEWAY_PUBLIC_URL: the address of cas-gateway as browsers reach it; `attestry blob get` works without",
  TIMED_OUT: "give it longer with --timeout, for example --timeout 5m",
};

// METHOD_UNKNOWN names the method: its package says which service should have been asked.
const otherAddress: readonly [RegExp, string][] = [
  [
    /^\/?attestry\.(run|audit)\./,
    "this address is not workflow-run: set --run-addr or ATTESTRY_RUN_ADDR (and --cas-addr or ATTESTRY_CAS_ADDR)",
  ],
  [/^\/?attestry\.ingest\./, "this address is not attestation-ingest: set --addr or ATTESTRY_ADDR"],
  [
    /^\/?(attestry\.cas|google\.bytestream|build\.bazel)\./,
    "this address is not cas-gateway: set --cas-addr or ATTESTRY_CAS_ADDR",
  ],
];

// Of a connection that failed, by what TLS or HTTP/2 said.
const connectionFaults: readonly [RegExp, string][] = [
  [/wrong version number|packet length too long/, "the server does not speak TLS there: give its address as http://"],
  [/does not speak HTTP\/2/, "if the server speaks TLS, give its address as https://"],
  [/certificate has expired/, "the server's certificate has run out: whoever runs it must renew it"],
  [
    /altnames|does not match certificate/,
    "the server's certificate is for another name: give its address by that name",
  ],
  [
    /self-signed certificate|unable to (verify the first|get local issuer) certificate/,
    "the server's certificate is of an authority unknown here: give its PEM file by --tls-ca or ATTESTRY_CA_FILE",
  ],
  [
    /certificate required|handshake failure|^https:.* closed the connection$/,
    "if the server asks for a certificate, give one of its authority by --tls-cert and --tls-key",
  ],
];

/** `message` is the error's: some reasons need another hint for another message. */
export function hintOf(reason: string, message: string): string | undefined {
  if (reason === "METHOD_UNKNOWN") return otherAddress.find(([method]) => method.test(message))?.[1];
  if (reason === "CONNECTION_FAILED") {
    const known = connectionFaults.find(([fault]) => fault.test(message));
    if (known !== undefined) return known[1];
  }
  if (reason === "ROLE_INSUFFICIENT" && message.includes("needs the API token of an instance admin")) {
    return "only an instance admin can do this: use the first token of the server";
  }
  return hints[reason];
}
