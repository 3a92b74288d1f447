import fs from "node:fs";
import { join } from "node:path";
import process from "node:process";
import type { Disk, FileLock } from "../host/disk.ts";
import { OperationalError } from "../lib/error.ts";

/** The file that the supervisor of a directory holds locked, and in which it says who it is and what it runs. */
const NAME = "odradek.lock";

export interface RunningCluster {
  /** The supervisor's process. */
  readonly pid: number;
  /** Process ids of the nodes that run, by node. */
  readonly nodes: Readonly<Record<string, number>>;
}

/** Held by the one supervisor of a directory, gone with its process. */
export class ClusterLock {
  readonly #path: string;
  readonly #lock: FileLock;

  private constructor(path: string, lock: FileLock) {
    this.#path = path;
    this.#lock = lock;
  }

  /** Rejects (ERR_CLUSTER_RUNNING) where another process supervises the directory. */
  static async take(disk: Disk, directory: string): Promise<ClusterLock> {
    const path = join(directory, NAME);
    const lock = await disk.lock(path);
    if (lock === undefined) {
      const running = read(path);
      throw new OperationalError("ERR_CLUSTER_RUNNING", `the cluster of ${directory} is running already${running === undefined ? "" : ` (process ${running.pid})`}: stop it with odradek down --dir ${directory}, or choose another directory with --dir`);
    }
    return new ClusterLock(path, lock);
  }

  tell(nodes: ReadonlyMap<number, number>): void {
    const running: RunningCluster = { pid: process.pid, nodes: Object.fromEntries(nodes) };
    // In place: the lock is the file's own, not its name's.
    fs.writeFileSync(this.#path, JSON.stringify(running));
  }

  async release(): Promise<void> {
    fs.writeFileSync(this.#path, "");
    await this.#lock.release();
  }
}

/** Who runs the cluster of that directory; undefined: nobody. */
export async function runningCluster(disk: Disk, directory: string): Promise<RunningCluster | undefined> {
  const path = join(directory, NAME);
  if (!fs.existsSync(path)) return undefined;
  const lock = await disk.lock(path);
  if (lock === undefined) return read(path);
  await lock.release();
  return undefined;
}

function read(path: string): RunningCluster | undefined {
  try {
    const parsed: unknown = JSON.parse(fs.readFileSync(path, "utf8"));
    return isRunning(parsed) ? parsed : undefined;
  } catch {
    // Being written, or empty: the holder says more in a moment.
    return undefined;
  }
}

function isRunning(parsed: unknown): parsed is RunningCluster {
  return typeof parsed === "object" && parsed !== null && "pid" in parsed && typeof parsed.pid === "number" && "nodes" in parsed && typeof parsed.nodes === "object";
}
