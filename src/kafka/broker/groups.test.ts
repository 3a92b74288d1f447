import { expect, test } from "vitest";
import type { Input } from "../../codec/schema.ts";
import type { Host } from "../../host/host.ts";
import type { SimNode } from "../../host/sim/node.ts";
import { withTripwires } from "../../host/sim/tripwires.ts";
import { World } from "../../host/sim/world.ts";
import { must } from "../../lib/assert.ts";
import { toError } from "../../lib/error.ts";
import { parseProperties } from "../../lib/properties.ts";
import { readMemberConfig } from "../../zookeeper/config/member-config.ts";
import { StandaloneMember } from "../../zookeeper/server/standalone-member.ts";
import { BrokerConnection } from "../client/broker-connection.ts";
import { readBrokerConfig } from "../config/broker-config.ts";
import type { Api } from "../protocol/api.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import { findCoordinator } from "../protocol/messages/find-coordinator.ts";
import { heartbeat } from "../protocol/messages/heartbeat.ts";
import { joinGroup } from "../protocol/messages/join-group.ts";
import { leaveGroup } from "../protocol/messages/leave-group.ts";
import { metadata } from "../protocol/messages/metadata.ts";
import { offsetCommit } from "../protocol/messages/offset-commit.ts";
import { offsetFetch } from "../protocol/messages/offset-fetch.ts";
import { syncGroup } from "../protocol/messages/sync-group.ts";
import { Broker } from "./broker.ts";

/** Whole brokers and one ZooKeeper member on simulated machines: what a group sees of its coordinators. */

const GROUP = "g";
const LINGER_MS = 2500;

class Cluster {
  readonly world: World;
  readonly client: SimNode;
  readonly running = new Map<number, Broker>();
  readonly #nodes = new Map<number, SimNode>();
  readonly #settings: readonly string[];

  constructor(seed: number, brokers: number, settings: readonly string[] = []) {
    this.world = new World({ seed, eventsMax: 5_000_000, expected: () => false });
    this.#settings = settings;
    const zookeeper = this.world.addNode("zookeeper");
    this.client = this.world.addNode("client");
    begin(zookeeper.host, (host) => {
      const main = parseProperties("dataDir=/zookeeper\nclientPort=2181\ntickTime=500\n", "zoo.cfg");
      return StandaloneMember.start(host, readMemberConfig({ main, origin: "zoo.cfg", myId: undefined, dynamic: undefined }).config);
    });
    for (let id = 1; id <= brokers; id++) this.#nodes.set(id, this.world.addNode(`kafka${id}`));
  }

  get ids(): readonly number[] {
    return [...this.#nodes.keys()];
  }

  node(id: number): SimNode {
    return must(this.#nodes.get(id), `node of broker ${id}`);
  }

  /** In a new process where the last one has ended; resolves when it serves. */
  async start(id: number): Promise<void> {
    const node = this.node(id);
    const text = [
      `broker.id=${id}`,
      `listeners=PLAINTEXT://kafka${id}:9092`,
      "log.dirs=/kafka",
      "zookeeper.connect=zookeeper:2181",
      "zookeeper.session.timeout.ms=6000",
      "controlled.shutdown.retry.backoff.ms=200",
      "controller.socket.timeout.ms=3000",
      "group.initial.rebalance.delay.ms=0",
      "offsets.topic.num.partitions=3",
      "num.partitions=2",
      ...this.#settings,
    ].join("\n");
    const properties = parseProperties(text, "server.properties");
    const { config } = readBrokerConfig(properties, "server.properties");
    begin(node.up ? node.host : node.start(), async (host) => {
      this.running.set(id, await Broker.start({ host, config, layers: { static: properties, clusterDefault: new Map(), perBroker: new Map() } }));
    });
    await this.world.run({ until: () => this.running.has(id), withinMs: 60_000 });
  }

  kill(id: number): void {
    this.node(id).kill();
    this.running.delete(id);
  }

  /** As on SIGTERM. */
  async stop(id: number): Promise<void> {
    await this.world.settle(must(this.running.get(id), `broker ${id}`).stop());
    this.running.delete(id);
  }

  connect(id: number): Promise<BrokerConnection> {
    return this.world.settle(BrokerConnection.connect(this.client.host, { host: `kafka${id}`, port: 9092, clientId: "c", connectTimeoutMs: 1000, requestTimeoutMs: 60_000 }));
  }

  async ask<A extends Api>(id: number, api: A, version: number, request: Input<A["request"]>) {
    const connection = await this.connect(id);
    const answer = await this.world.settle(connection.send(api, version, request));
    connection.close();
    return answer;
  }

  /** Who coordinates the group, as `asked` says. */
  async coordinator(asked: number): Promise<number> {
    const deadline = this.world.nowMs + 30_000;
    for (;;) {
      const { coordinators } = await this.ask(asked, findCoordinator, 4, { key: "", coordinatorKeys: [GROUP] });
      const [found] = coordinators;
      if (found?.errorCode === ErrorCode.NONE && this.running.has(found.nodeId)) return found.nodeId;
      expect([ErrorCode.NONE, ErrorCode.COORDINATOR_NOT_AVAILABLE]).toContain(found?.errorCode);
      if (this.world.nowMs > deadline) throw new Error(`no coordinator: ${JSON.stringify(found)}`);
      await this.world.run({ forMs: 100 });
    }
  }

  /** Makes topic t by asking for it. */
  async topic(asked: number): Promise<void> {
    for (let errorCode = -1; errorCode !== 0; ) {
      const answer = await this.ask(asked, metadata, 9, { topics: [{ name: "t" }], includeClusterAuthorizedOperations: false, includeTopicAuthorizedOperations: false });
      errorCode = Math.max(...answer.topics.map((topic) => topic.errorCode), ...answer.topics.flatMap(({ partitions }) => partitions.map((partition) => partition.errorCode)));
      await this.world.run({ forMs: 100 });
    }
  }

  /** One member that leads the group by itself: its id and generation. */
  async member(coordinator: number): Promise<{ memberId: string; generationId: number }> {
    const first = await this.ask(coordinator, joinGroup, 9, joining(""));
    expect(first.errorCode).toBe(ErrorCode.MEMBER_ID_REQUIRED);
    const { memberId } = first;
    const joined = await this.ask(coordinator, joinGroup, 9, joining(memberId));
    expect(joined).toMatchObject({ errorCode: 0, leader: memberId, protocolName: "range" });
    const { generationId } = joined;
    const assignments = [{ memberId, assignment: Buffer.from("all") }];
    const synced = await this.ask(coordinator, syncGroup, 5, { groupId: GROUP, generationId, memberId, protocolType: "consumer", protocolName: "range", assignments });
    expect(synced).toMatchObject({ errorCode: 0, assignment: Buffer.from("all") });
    return { memberId, generationId };
  }
}

function joining(memberId: string): Input<typeof joinGroup.request> {
  return { groupId: GROUP, sessionTimeoutMs: 30_000, rebalanceTimeoutMs: 60_000, memberId, protocolType: "consumer", protocols: [{ name: "range", metadata: Buffer.from("m") }] };
}

function begin(host: Host, start: (host: Host) => Promise<unknown>): void {
  start(host).catch((error: unknown) => host.fail(toError(error)));
}

test("a group outlives its coordinator: its generation, its members and its offsets are the next one's", () =>
  withTripwires(async () => {
    const cluster = new Cluster(41, 3, ["default.replication.factor=3"]);
    for (const id of cluster.ids) await cluster.start(id);
    await cluster.topic(1);
    const first = await cluster.coordinator(1);
    for (const id of cluster.ids) expect(await cluster.coordinator(id)).toBe(first);
    const { memberId, generationId } = await cluster.member(first);
    const partitions = [{ partitionIndex: 0, committedOffset: 7, committedLeaderEpoch: 2, committedMetadata: "note" }];
    const commit = { groupId: GROUP, generationIdOrMemberEpoch: generationId, memberId, topics: [{ name: "t", partitions }] };
    expect(await cluster.ask(first, offsetCommit, 9, commit)).toMatchObject({ topics: [{ partitions: [{ errorCode: 0 }] }] });
    const elsewhere = must(cluster.ids.find((id) => id !== first), "another broker");
    expect(await cluster.ask(elsewhere, heartbeat, 4, { groupId: GROUP, generationId, memberId })).toMatchObject({ errorCode: ErrorCode.NOT_COORDINATOR });

    cluster.kill(first);
    const next = await cluster.coordinator(elsewhere);
    const fetching = { groupId: "", topics: null, groups: [{ groupId: GROUP, topics: null }] };
    let fetched = await cluster.ask(next, offsetFetch, 8, fetching);
    while (fetched.groups[0]?.errorCode === ErrorCode.COORDINATOR_LOAD_IN_PROGRESS || fetched.groups[0]?.errorCode === ErrorCode.NOT_COORDINATOR) {
      await cluster.world.run({ forMs: 50 });
      fetched = await cluster.ask(next, offsetFetch, 8, fetching);
    }
    const stored = { partitionIndex: 0, committedOffset: 7, committedLeaderEpoch: 2, metadata: "note", errorCode: 0 };
    expect(fetched.groups).toEqual([{ groupId: GROUP, topics: [{ name: "t", partitions: [stored] }], errorCode: 0 }]);
    expect(await cluster.ask(next, heartbeat, 4, { groupId: GROUP, generationId, memberId })).toMatchObject({ errorCode: 0 });
  }));

test("a broker that stops tells those who wait to look elsewhere, keeps what they have stored, and leaves nothing open", () =>
  withTripwires(async () => {
    const cluster = new Cluster(42, 1, ["offsets.topic.replication.factor=1"]);
    await cluster.start(1);
    await cluster.coordinator(1);
    const { memberId, generationId } = await cluster.member(1);
    // The second one waits for the first, which says nothing.
    const { memberId: second } = await cluster.ask(1, joinGroup, 9, joining(""));
    const connection = await cluster.connect(1);
    const waiting = connection.send(joinGroup, 9, joining(second));
    await cluster.world.run({ forMs: 500 });
    await cluster.stop(1);
    expect(await cluster.world.settle(waiting)).toMatchObject({ errorCode: ErrorCode.NOT_COORDINATOR, memberId: second });
    await cluster.world.run({ forMs: LINGER_MS });
    expect(cluster.node(1).resources).toEqual({ files: [], connections: 0, listeners: 0 });

    cluster.node(1).kill();
    await cluster.start(1);
    // The first question of all waits until the broker knows of the topic, and makes no other.
    expect(await cluster.ask(1, findCoordinator, 3, { key: GROUP, coordinatorKeys: [] })).toMatchObject({ errorCode: 0, nodeId: 1 });
    await cluster.world.run({ forMs: 500 });
    expect(await cluster.ask(1, heartbeat, 4, { groupId: GROUP, generationId, memberId })).toMatchObject({ errorCode: 0 });
    expect(await cluster.ask(1, leaveGroup, 5, { groupId: GROUP, memberId: "", members: [{ memberId }] })).toMatchObject({ errorCode: 0, members: [{ errorCode: 0 }] });
  }));

test("a join that is sent again over another connection ends the first, and the second is answered", () =>
  withTripwires(async () => {
    const cluster = new Cluster(43, 1, ["offsets.topic.replication.factor=1"]);
    await cluster.start(1);
    await cluster.coordinator(1);
    await cluster.member(1);
    const { memberId } = await cluster.ask(1, joinGroup, 9, joining(""));
    const [one, two] = [await cluster.connect(1), await cluster.connect(1)];
    const first = one.send(joinGroup, 9, joining(memberId)).catch((error: unknown) => toError(error));
    await cluster.world.run({ forMs: 500 });
    const second = two.send(joinGroup, 9, joining(memberId));
    expect(await cluster.world.settle(first)).toMatchObject({ code: "ECONNRESET" });
    // The silent first member's session ends.
    expect(await cluster.world.settle(second)).toMatchObject({ errorCode: 0, memberId, leader: memberId });
  }));
