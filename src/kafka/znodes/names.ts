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
