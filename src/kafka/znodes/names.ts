import { OperationalError } from "../../lib/error.ts";

/** The entity that stands for all others of its type in /config. It is written as it stands, not sanitised. */
export const defaultEntity = "<default>";

/**
 * A user's or client's name as a znode's name: URL encoding over UTF-8, with letters, digits, `.`, `-` and `_` as
 * they are. Source: clients/…/common/utils/Sanitizer.java.
 */
export function sanitizeName(name: string): string {
  let sanitized = "";
  for (const byte of Buffer.from(name)) {
    const character = String.fromCharCode(byte);
    sanitized += /[A-Za-z0-9._-]/.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return sanitized;
}

/** The name back again; a `+` means a space, as in any URL encoding. Throws ERR_ZNODE_NAME at a broken escape. */
export function desanitizeName(sanitized: string): string {
  try {
    return decodeURIComponent(sanitized.replaceAll("+", " "));
  } catch (error) {
    throw new OperationalError("ERR_ZNODE_NAME", `"${sanitized}" is not a URL-encoded name; remove its znode under /config`, { cause: error });
  }
}

// oxlint-disable-next-line no-control-regex -- control characters are what is refused
const NOT_IN_PATHS = /[\u0000-\u001f\u007f-\u009f\ud800-\uf8ff\ufff0-\uffff]|\/\.{0,2}(?:\/|$)/;

/** A path with a name that somebody else has chosen. Throws ERR_ZNODE_NAME where ZooKeeper can't have it (PathUtils.validatePath). */
export function checkPath(path: string): string {
  if (NOT_IN_PATHS.test(path)) throw new OperationalError("ERR_ZNODE_NAME", `${JSON.stringify(path)} can't be a znode's path`);
  return path;
}
