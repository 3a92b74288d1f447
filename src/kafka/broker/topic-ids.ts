import { decodeTopic } from "../znodes/topic.ts";
import { topicId } from "../znodes/topic-id.ts";
import { paths } from "../znodes/paths.ts";
import { askOne, getData, ZkCode } from "../znodes/requests.ts";
import type { ZooKeeperSession } from "../znodes/zookeeper-session.ts";

/**
 * Topic ids, which exist towards clients only: each broker derives them from the topic's znode, at first use, and
 * keeps them while the topic is in its metadata.
 */
export class TopicIds {
  readonly #zookeeper: ZooKeeperSession;
  readonly #clusterId: string;
  readonly #ids = new Map<string, string>();
  readonly #names = new Map<string, string>();
  #forgotten = 0;

  constructor(zookeeper: ZooKeeperSession, clusterId: string) {
    this.#zookeeper = zookeeper;
    this.#clusterId = clusterId;
  }

  /** Undefined where the topic has no znode (any more). */
  async idOf(topic: string): Promise<string | undefined> {
    const known = this.#ids.get(topic);
    if (known !== undefined) return known;
    const forgotten = this.#forgotten;
    const node = await this.#zookeeper.run(askOne(getData(paths.topic(topic))));
    if (node.code !== ZkCode.OK || node.stat === undefined) return undefined;
    const id = topicId(this.#clusterId, topic, node.stat.czxid, decodeTopic(topic, node.data).rest);
    // A topic that went while ZooKeeper was asked may have come again, with another id.
    if (forgotten !== this.#forgotten) return id;
    this.#ids.set(topic, id);
    this.#names.set(id, topic);
    return id;
  }

  /** Of the ids learned so far. */
  nameOf(id: string): string | undefined {
    return this.#names.get(id);
  }

  /** Learns the ids of all these topics, and then names this one. */
  async find(id: string, topics: readonly string[]): Promise<string | undefined> {
    if (!this.#names.has(id)) await Promise.all(topics.map((topic) => this.idOf(topic)));
    return this.#names.get(id);
  }

  forget(topic: string): void {
    this.#forgotten += 1;
    const id = this.#ids.get(topic);
    if (id === undefined) return;
    this.#ids.delete(topic);
    this.#names.delete(id);
  }
}
