import { ErrorCode } from "../protocol/errors.ts";
import type { Id } from "../protocol/records.ts";
import { digestOf } from "../tree/acl.ts";

/** What a client may show, by scheme. Sources: DigestAuthenticationProvider, IPAuthenticationProvider. */

export interface Credentials {
  readonly scheme: string;
  readonly auth: Buffer | null;
  readonly remoteHost: string;
  /** `zookeeper.DigestAuthenticationProvider.superDigest`: who this digest is may do everything. */
  readonly superDigest: string | undefined;
}

/** The ids that the client holds from here on. A digest is not checked: an unknown user's matches nothing. */
export function authenticate({ scheme, auth, remoteHost, superDigest }: Credentials): readonly Id[] | typeof ErrorCode.authFailed {
  if (scheme === "ip") return [{ scheme: "ip", id: remoteHost }];
  if (scheme !== "digest" || auth === null) return ErrorCode.authFailed;
  const id = digestOf(auth.toString("utf8"));
  const digest: Id = { scheme: "digest", id };
  return id === superDigest ? [{ scheme: "super", id: "" }, digest] : [digest];
}
