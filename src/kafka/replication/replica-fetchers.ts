import type { Host } from "../../host/host.ts";
import { javaAbs, javaHash } from "../../lib/java-hash.ts";
import type { TaskGroup } from "../../lib/task-group.ts";
import { partitionName } from "../log/names.ts";
import type { FetcherRules } from "./fetcher-core.ts";
import type { FollowedReplica, Followers } from "./ports.ts";
import { ReplicaFetcher, type LeaderLink } from "./replica-fetcher.ts";

export interface FetcherOptions {
  readonly host: Host;
  readonly tasks: TaskGroup;
  readonly rules: FetcherRules;
  /** num.replica.fetchers */
  readonly fetchersPerLeader: number;
  /** A way to a leader as metadata has it now, for one of its fetchers; undefined where it is not known. */
  open(leader: number, fetcher: number): LeaderLink | undefined;
}

/** Which of a leader's fetchers has a partition. Source: AbstractFetcherManager.getFetcherId. */
export function fetcherOf(topic: string, partition: number, fetchersPerLeader: number): number {
  return javaAbs((Math.imul(31, javaHash(topic)) + partition) | 0) % fetchersPerLeader;
}

/**
 * The fetchers of a broker, num.replica.fetchers for each leader, made when they are needed. A partition must be
 * unfollowed before it follows another leader. Source: AbstractFetcherManager.scala.
 */
export class ReplicaFetchers implements Followers {
  readonly #options: FetcherOptions;
  readonly #fetchers = new Map<string, ReplicaFetcher>();
  /** Those that are being closed too: their local work may be under way. */
  readonly #running = new Set<ReplicaFetcher>();
  #closed = false;

  constructor(options: FetcherOptions) {
    this.#options = options;
  }

  /** Fetchers that run, or are being closed. */
  get size(): number {
    return this.#running.size;
  }

  follow(leader: number, replicas: readonly { readonly replica: FollowedReplica; readonly leaderEpoch: number }[]): void {
    if (this.#closed) return;
    for (const { replica, leaderEpoch } of replicas) {
      const { topic, partition } = replica;
      const fetcher = this.#fetcher(leader, fetcherOf(topic, partition, this.#options.fetchersPerLeader));
      fetcher.follow(partitionName(topic, partition), replica, leaderEpoch);
    }
  }

  async unfollow(names: Iterable<string>): Promise<void> {
    const all = [...names];
    await Promise.all([...this.#running].map((fetcher) => fetcher.unfollow(all)));
  }

  /** Those without partitions end. */
  closeIdle(): void {
    for (const [key, fetcher] of this.#fetchers) {
      if (fetcher.size > 0) continue;
      this.#fetchers.delete(key);
      fetcher.close();
    }
  }

  /** Resolves when nothing runs any more: truncations and appends under way have ended, connections are closed. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const fetcher of this.#running) fetcher.close();
    this.#fetchers.clear();
    await Promise.all([...this.#running].map((fetcher) => fetcher.ended));
  }

  #fetcher(leader: number, id: number): ReplicaFetcher {
    const key = `${leader}/${id}`;
    const present = this.#fetchers.get(key);
    if (present !== undefined) return present;
    const { host, rules, tasks } = this.#options;
    const fetcher = new ReplicaFetcher({ host, leader, rules, open: () => this.#options.open(leader, id) });
    this.#fetchers.set(key, fetcher);
    this.#running.add(fetcher);
    tasks.run(async () => {
      try {
        await fetcher.run();
      } finally {
        this.#running.delete(fetcher);
      }
    });
    return fetcher;
  }
}
