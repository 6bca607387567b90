import { BlockList, isIP } from "node:net";
import { DomainError } from "@attestry/service-kit";

const longestIssuer = 512;

/** Never asked: this network, link-local (metadata of clouds among them), multicast, reserved, and IPv4 in other clothes. */
const never = blockList([
  ...["0.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "224.0.0.0/4", "240.0.0.0/4"],
  ...[
    "::/96",
    "2001::/32",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "2002::/16",
    "fd00:ec2::/32",
  ],
]);
/** Asked only where that was allowed: loopback and private networks. */
const local = blockList([
  ...["10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "198.18.0.0/15"],
  ...["::1/128", "fc00::/7"],
]);
const loopback = blockList(["127.0.0.0/8", "::1/128"]);

/** What issuers may be at. */
export interface IssuerBounds {
  /** At loopback and private addresses too, and at loopback over http. */
  allowPrivate: boolean;
}

/** The issuer as it came, if its keys may be fetched from there. Throws ISSUER_INVALID. */
export function parseIssuer(text: string, bounds: IssuerBounds): string {
  const fault = text.length > longestIssuer ? `more than ${longestIssuer} characters` : urlFault(text, bounds);
  if (fault === undefined) return text;
  const expected = "an https URL without user, query and fragment, not at a local address";
  throw new DomainError("ISSUER_INVALID", `issuer must be ${expected}; came ${fault}`, {
    metadata: { expected, actual: fault },
  });
}

/** Why nothing may be fetched from there; undefined: it may. What a name stands for is judged when it is connected to. */
export function urlFault(text: string, { allowPrivate }: IssuerBounds): string | undefined {
  const url = URL.parse(text);
  if (url === null) return text === "" ? "nothing" : "no URL";
  if (url.username !== "" || url.password !== "" || /[?#]/.test(text)) return "one with a user, query or fragment";
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const isLoopback = host === "localhost" || (isIP(host) !== 0 && isIn(loopback, host));
  if (url.protocol !== "https:" && !(url.protocol === "http:" && allowPrivate && isLoopback))
    return "one without https";
  if (host === "localhost") return allowPrivate ? undefined : "a local address";
  return isIP(host) === 0 || mayConnect(host, { allowPrivate }) ? undefined : "a local address";
}

/** Whether an issuer at this address may be asked. */
export function mayConnect(address: string, { allowPrivate }: IssuerBounds): boolean {
  // Also an IPv4 address that is written as IPv6 is found in the lists of IPv4.
  if (isIn(loopback, address)) return allowPrivate;
  return !isIn(never, address) && (allowPrivate || !isIn(local, address));
}

function isIn(list: BlockList, address: string): boolean {
  return list.check(address, isIP(address) === 6 ? "ipv6" : "ipv4");
}

function blockList(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address = "", bits] = network.split("/");
    list.addSubnet(address, Number(bits), isIP(address) === 6 ? "ipv6" : "ipv4");
  }
  return list;
}
