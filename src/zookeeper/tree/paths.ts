/** Names of znodes. Sources: PathUtils.validatePath, DataTree, Quotas. */

export const ROOT_PATH = "/";
export const SYSTEM_PATH = "/zookeeper";
export const QUOTA_PATH = "/zookeeper/quota";
export const CONFIG_PATH = "/zookeeper/config";

/** Made with the tree and not to be deleted. */
const RESERVED: ReadonlySet<string> = new Set([ROOT_PATH, SYSTEM_PATH, QUOTA_PATH, CONFIG_PATH]);

export function isReservedPath(path: string): boolean {
  return RESERVED.has(path);
}

/** Control characters, surrogates and the private use area, and U+FFF0 to U+FFFF, by UTF-16 unit; empty, `.` and `..` elements. */
// oxlint-disable-next-line no-control-regex -- control characters are what is refused
const REFUSED = /[\u0000-\u001f\u007f-\u009f\ud800-\uf8ff\ufff0-\uffff]|\/\.{0,2}(?:\/|$)/;

export function isValidPath(path: string): boolean {
  return path === ROOT_PATH || (path.startsWith("/") && !REFUSED.test(path));
}

/** The path before the last `/`, or the root. */
export function parentPath(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash <= 0 ? ROOT_PATH : path.slice(0, slash);
}

export function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

export function childPath(parent: string, name: string): string {
  return parent === ROOT_PATH ? `/${name}` : `${parent}/${name}`;
}

/** What a sequential name gets appended: Java's `%010d` of the parent's count of creations, an int that wraps. */
export function sequenceSuffix(creations: number): string {
  return creations < 0 ? `-${String(-creations).padStart(9, "0")}` : String(creations).padStart(10, "0");
}
