import type { Timer } from "../../host/clock.ts";
import type { Host } from "../../host/host.ts";
import type { Logger } from "../../host/log.ts";
import { errorCode, toError } from "../../lib/error.ts";
import type { TaskGroup } from "../../lib/task-group.ts";
import { ConfigChangeReader } from "../znodes/config-changes.ts";
import type { ConfigEntity, EntityConfig } from "../znodes/config.ts";
import { paths } from "../znodes/paths.ts";
import type { ZooKeeperSession } from "../znodes/zookeeper-session.ts";

/** How long it rests after ZooKeeper has refused to tell. */
const RETRY_MS = 1000;

export interface ConfigWatcherOptions {
  readonly host: Pick<Host, "clock" | "timers">;
  readonly log: Logger;
  readonly zookeeper: ZooKeeperSession;
  readonly tasks: TaskGroup;
  /** The entity's configuration as it is now. */
  onChange(entity: ConfigEntity, config: EntityConfig): void;
  /** Announcements may have been missed: everything is to be read again. */
  reload(): Promise<void>;
}

/**
 * Hears of settings that change in ZooKeeper, by /config/changes. A broker whose session has ended may have been away
 * for longer than announcements are kept, and reads all settings anew; Apache's would miss them. Source:
 * ZkNodeChangeNotificationListener.scala, DynamicConfigManager.scala.
 */
export class ConfigWatcher {
  readonly #options: ConfigWatcherOptions;
  readonly #reader = new ConfigChangeReader();
  #unlisten: (() => void) | undefined;
  #retry: Timer | undefined;
  #busy = false;
  #wanted: "nothing" | "changes" | "everything" = "nothing";
  #closed = false;

  constructor(options: ConfigWatcherOptions) {
    this.#options = options;
  }

  /** All settings have been read within the last minutes. */
  start(): void {
    this.#unlisten = this.#options.zookeeper.listen({
      watch: ({ kind, path }) => {
        if (path === paths.configChanges && kind === "childrenChanged") this.#look("changes");
      },
      sessionExpired: () => undefined,
      sessionStarted: () => this.#look("everything"),
    });
    this.#look("changes");
  }

  close(): void {
    this.#closed = true;
    this.#unlisten?.();
    this.#retry?.cancel();
  }

  #look(what: "changes" | "everything"): void {
    if (this.#wanted !== "everything") this.#wanted = what;
    if (this.#busy) return;
    this.#busy = true;
    this.#options.tasks.run(() => this.#run());
  }

  async #run(): Promise<void> {
    try {
      while (this.#wanted !== "nothing" && !this.#closed) {
        const wanted = this.#wanted;
        this.#wanted = "nothing";
        await this.#read(wanted);
      }
    } finally {
      this.#busy = false;
    }
  }

  async #read(wanted: "changes" | "everything"): Promise<void> {
    const { host, log, zookeeper } = this.#options;
    try {
      const { changes, errors } = await zookeeper.run(this.#reader.read(host.clock.wallMs()));
      for (const error of errors) log.error("a change of settings can't be read", { error });
      if (wanted === "everything") await this.#options.reload();
      else for (const { entity, config } of changes) this.#options.onChange(entity, config);
    } catch (thrown) {
      if (errorCode(thrown) === undefined) throw thrown;
      if (this.#closed) return;
      log.warn("changed settings could not be read, and are read again", { error: toError(thrown) });
      this.#retry?.cancel();
      this.#retry = host.timers.after(RETRY_MS, () => this.#look("everything"));
    }
  }
}
