import type { SimNode } from "../../src/host/sim/node.ts";
import { withTripwires } from "../../src/host/sim/tripwires.ts";
import { World } from "../../src/host/sim/world.ts";
import { must } from "../../src/lib/assert.ts";
import { ZooKeeperClient, type Session } from "../../src/zookeeper/client/client.ts";
import { ClusterWorld } from "../kafka/cluster-world.ts";
import { CLIENT_PORT } from "./client-tap.ts";
import type { SyncBegin } from "./quorum-tap.ts";
import { Violation } from "./violation.ts";

/** Ticks of 500 ms: who is silent for 2 s is given up, and 10 s may pass until a quorum has come together. */
const SETTINGS = ["tickTime=500", "initLimit=20", "syncLimit=4", "maxClientCnxns=0", "minSessionTimeout=1000"];

/** Three members and clients on a node of their own: everything is whole in the beginning, and again in the end. */
export class EnsembleScenario {
  readonly world: World;
  readonly syncs: SyncBegin[] = [];
  readonly #cluster: ClusterWorld;

  private constructor(seed: string, settings: readonly string[]) {
    this.world = new World({ seed, eventsMax: 1_000_000, expected: () => false });
    this.#cluster = new ClusterWorld(this.world, { members: 3, brokers: 0, clients: 1, chroot: "", memberSettings: [...SETTINGS, ...settings], brokerSettings: [] });
    this.#cluster.onSync = (begin) => this.syncs.push(begin);
  }

  /** Every member serves when `script` begins, and /value is "first". `settings`: lines of zoo.cfg. */
  static play(script: (scenario: EnsembleScenario) => Promise<void>, { seed = "1", settings = [] }: { readonly seed?: string; readonly settings?: readonly string[] } = {}): Promise<void> {
    return withTripwires(async () => {
      const scenario = new EnsembleScenario(seed, settings);
      const client = scenario.client();
      await scenario.world.settle(client.create("/value", Buffer.from("first")));
      await scenario.world.settle(client.close());
      await scenario.#allServe();
      await script(scenario);
    });
  }

  /** The member that leads, and the two others. */
  get roles(): readonly [leader: SimNode, one: SimNode, other: SimNode] {
    const leader = must(this.#cluster.quorumLeader, "leader");
    const [one, other] = this.#cluster.members.filter((member) => member !== leader);
    return [leader, must(one, "follower"), must(other, "another follower")];
  }

  member(id: number): SimNode {
    return must(this.#cluster.members[id - 1], `member ${id}`);
  }

  idOf(member: SimNode): number {
    return this.#cluster.members.indexOf(member) + 1;
  }

  /** Connects to any of these members; to all where none is named. */
  client(members: readonly SimNode[] = this.#cluster.members, options: { readonly sessionTimeoutMs?: number; readonly session?: Session } = {}): ZooKeeperClient {
    const connect = members.map(({ name }) => `${name}:${CLIENT_PORT}`).join(",");
    const { host } = must(this.#cluster.clients[0], "client");
    const client = new ZooKeeperClient(host, { connect, sessionTimeoutMs: options.sessionTimeoutMs ?? 8000, session: options.session });
    client.start();
    return client;
  }

  async connected(client: ZooKeeperClient): Promise<Session> {
    await this.world.settle(client.whenConnected());
    return must(client.session, "session");
  }

  /** How many transactions a member's disk has. */
  logged(member: SimNode): number {
    return must(this.#cluster.histories.all().get(this.idOf(member)), "history").length;
  }

  /** Not looked at before every event: what is looked for takes long. */
  async until(what: string, holds: () => boolean, withinMs = 30_000): Promise<void> {
    const endMs = this.world.nowMs + withinMs;
    while (!holds()) {
      if (this.world.nowMs > endMs) throw new Violation("in time", what);
      await this.world.run({ forMs: 20 });
    }
  }

  restart(member: SimNode): void {
    this.#cluster.restart(member);
  }

  async read(path: string, members?: readonly SimNode[]): Promise<string | undefined> {
    const client = this.client(members);
    await this.world.settle(client.sync(path));
    const read = await this.world.settle(client.getData(path));
    await this.world.settle(client.abandon());
    return read.ok ? String(read.value.data) : undefined;
  }

  /** All works again, and all members have one history; /value, as each of them has it. */
  async finish(): Promise<string | undefined> {
    const { members, histories } = this.#cluster;
    this.world.net.heal();
    for (const member of members) {
      member.disk.options.syncMs = [0.1, 1];
      member.disk.options.latencyMs = [0.02, 0.2];
      member.resume();
      this.restart(member);
    }
    await this.#allServe();
    const values: (string | undefined)[] = [];
    for (const member of members) values.push(await this.read("/value", [member]));
    await this.until("one history", () => new Set([...histories.all().values()].map((history) => history.map(({ header }) => header.zxid).join())).size === 1);
    if (new Set(values).size !== 1) throw new Violation("equal trees", `/value is ${values.join(", ")}`);
    return values[0];
  }

  async #allServe(): Promise<void> {
    for (const member of this.#cluster.members) {
      const client = this.client([member]);
      await this.world.settle(client.sync("/"));
      await this.world.settle(client.close());
    }
  }
}
