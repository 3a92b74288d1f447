import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { eventually, run, ServerProcess, temporaryDirectory } from "./processes.ts";

const MAY_MOUNT = process.platform === "linux" && spawnSync("unshare", ["-rm", "mount", "-t", "tmpfs", "-o", "size=64k", "none", "/mnt"]).status === 0;

/** Whether this machine lets a test have a disk of its own (user namespaces); says so loudly where it does not. */
export function maySmallDisk(): boolean {
  if (!MAY_MOUNT) console.warn("SKIPPED what needs a disk of a few megabytes: unshare -rm can't mount a tmpfs here");
  return MAY_MOUNT;
}

/** A disk of a few megabytes that only processes begun with `command` see. It lasts until `remove`. */
export class SmallDisk {
  /** Where it is mounted, for those processes. */
  readonly path: string;
  readonly #directory: ReturnType<typeof temporaryDirectory>;
  readonly #holder: ServerProcess;

  private constructor(directory: ReturnType<typeof temporaryDirectory>, path: string, holder: ServerProcess) {
    this.#directory = directory;
    this.path = path;
    this.#holder = holder;
  }

  static async mount(megabytes: number): Promise<SmallDisk> {
    const directory = temporaryDirectory();
    const path = `${directory.path}/disk`;
    mkdirSync(path);
    const holder = new ServerProcess("unshare", ["-rm", "sh", "-c", `mount -t tmpfs -o size=${megabytes}m none ${path} && echo mounted && exec sleep 1000`]);
    await eventually("the disk is mounted", () => holder.output.includes("mounted"));
    return new SmallDisk(directory, path, holder);
  }

  /** The command line that runs this one where the disk is. */
  command(command: string, args: readonly string[]): [string, string[]] {
    return ["nsenter", ["--target", String(this.#holder.child.pid), "--user", "--mount", "--preserve-credentials", command, ...args]];
  }

  async mountAgain(options: string): Promise<void> {
    const { code, stderr } = await run(...this.command("mount", ["-o", `remount,${options}`, this.path]));
    if (code !== 0) throw new Error(stderr);
  }

  /** What lies on it, as this process may look at it. */
  names(path = ""): string[] {
    return readdirSync(`/proc/${this.#holder.child.pid}/root${this.path}${path}`);
  }

  read(path: string): Buffer {
    return readFileSync(`/proc/${this.#holder.child.pid}/root${this.path}${path}`);
  }

  async remove(): Promise<void> {
    await this.#holder.stop("SIGKILL");
    this.#directory.remove();
  }
}
