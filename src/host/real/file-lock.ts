import fs from "node:fs";
import { createRequire } from "node:module";
import process from "node:process";
import { errorCode } from "../../lib/error.ts";

/** The native half of fs-native-extensions. `length` 0 means up to the end, whatever that will be. */
interface NativeLocks {
  /** Throws EAGAIN where somebody else holds the lock. */
  tryLock(fd: number, offset: number, length: number, exclusive: boolean): void;
}

/** An open-file-description lock on the whole file: it conflicts with a JVM's fcntl lock and ends with the descriptor. False where somebody else holds it. */
export function tryLock(fd: number): boolean {
  try {
    nativeLocks().tryLock(fd, 0, 0, true);
    return true;
  } catch (error) {
    if (errorCode(error) === "EAGAIN") return false;
    throw error;
  }
}

/** Loaded when first used, and by its own name: the package's search for the addon of this system takes 17 ms of each start. */
function nativeLocks(): NativeLocks {
  const require = createRequire(import.meta.url);
  const entry = require.resolve("fs-native-extensions");
  const addon = `${entry.slice(0, -"index.js".length)}prebuilds/${process.platform}-${process.arch}/fs-native-extensions.node`;
  return require(fs.existsSync(addon) ? addon : "fs-native-extensions/binding.js") as NativeLocks;
}
