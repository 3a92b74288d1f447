import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { SimNode } from "../src/host/sim/node.ts";

/** What one machine has on its disk, as a judge looks at it from outside: a simulated machine, or a directory of this one. */
export interface StoredFiles {
  /** Of the machine. */
  readonly name: string;
  /** Files and directories in a directory; nothing where it is not there. */
  list(path: string): readonly StoredName[];
  /** Undefined where there is no such file. */
  read(path: string): Buffer | undefined;
}

export interface StoredName {
  readonly name: string;
  readonly isDirectory: boolean;
}

export function filesOfNode(node: SimNode): StoredFiles {
  return {
    name: node.name,
    list: (path) => {
      const directory = node.disk.files.find(path);
      return directory?.kind === "directory" ? [...directory.entries].map(([name, { kind }]) => ({ name, isDirectory: kind === "directory" })) : [];
    },
    read: (path) => node.disk.peek(path),
  };
}

/** Paths begin at `root`. */
export function filesOfDirectory(name: string, root: string): StoredFiles {
  return {
    name,
    list: (path) => orNothing(() => readdirSync(join(root, path), { withFileTypes: true }).map((entry) => ({ name: entry.name, isDirectory: entry.isDirectory() }))) ?? [],
    read: (path) => orNothing(() => readFileSync(join(root, path))),
  };
}

function orNothing<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
