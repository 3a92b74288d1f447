import { describe, expect, test } from "vitest";
import type { Decoded, Input } from "../../codec/schema.ts";
import type { Host } from "../../host/host.ts";
import type { Listener } from "../../host/net.ts";
import { World } from "../../host/sim/world.ts";
import { must } from "../../lib/assert.ts";
import { OperationalError } from "../../lib/error.ts";
import { FrameDecoder } from "../../lib/frames.ts";
import { TaskGroup } from "../../lib/task-group.ts";
import { Reader } from "../../codec/reader.ts";
import { BrokerLink } from "../client/broker-link.ts";
import type { Api } from "../protocol/api.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import { encodeFrame } from "../protocol/frame.ts";
import { requestHeader, requestHeaderVersion, responseHeader, responseHeaderVersion } from "../protocol/header.ts";
import { fetch } from "../protocol/messages/fetch.ts";
import { listOffsets } from "../protocol/messages/list-offsets.ts";
import { offsetForLeaderEpoch } from "../protocol/messages/offset-for-leader-epoch.ts";
import type { LeaderLink } from "./replica-fetcher.ts";
import { ReplicaFetchers, fetcherOf } from "./replica-fetchers.ts";
import { ModelLeader, ModelLog, ModelReplica, type ModelLed } from "./testing/replica-model.ts";

const rules = { replicaId: 2, maxWaitMs: 500, minBytes: 1, maxBytes: 1000, partitionMaxBytes: 100, backoffMs: 200 };

interface LeaderSpec {
  /** Round trip. */
  delayMs: number;
  /** What `open` gives. */
  reachable: "yes" | "silent" | "unknown";
  readonly leader: ModelLeader;
  readonly led: Map<string, ModelLed>;
}

/** Fetchers on a simulated machine; leaders that answer after a while over links that the test sees. */
class Bench {
  readonly world = new World({ seed: 5 });
  readonly node = this.world.addNode("follower");
  readonly tasks: TaskGroup;
  readonly fetchers: ReplicaFetchers;
  readonly leaders = new Map<number, LeaderSpec>();
  /** What was sent, when: `leader/fetcher api`. */
  readonly sent: string[] = [];
  readonly opened: string[] = [];
  openLinks = 0;
  underWay = 0;

  constructor(fetchersPerLeader = 1) {
    const { host } = this.node;
    this.tasks = new TaskGroup((error) => host.fail(error));
    this.fetchers = new ReplicaFetchers({ host, tasks: this.tasks, rules, fetchersPerLeader, open: (leader, fetcher) => this.#open(leader, fetcher) });
  }

  leader(id: number): LeaderSpec {
    const known = this.leaders.get(id);
    if (known !== undefined) return known;
    const led = new Map<string, ModelLed>();
    const spec: LeaderSpec = { delayMs: 10, reachable: "yes", led, leader: new ModelLeader((name) => led.get(name) ?? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION) };
    this.leaders.set(id, spec);
    return spec;
  }

  /** A partition that this leader leads in this epoch, with so many batches of two records. */
  lead(id: number, name: string, batches: number, epoch = 0): ModelLog {
    const log = new ModelLog();
    for (let batch = 0; batch < batches; batch++) log.append({ offset: log.endOffset, count: 2, epoch, id: batch });
    log.setHighWatermark(log.endOffset);
    this.leader(id).led.set(name, { log, epoch });
    return log;
  }

  follow(leader: number, replica: ModelReplica, leaderEpoch = 0): ModelReplica {
    replica.epoch = leaderEpoch;
    this.fetchers.follow(leader, [{ replica, leaderEpoch }]);
    return replica;
  }

  #open(id: number, fetcher: number): LeaderLink | undefined {
    const spec = this.leader(id);
    if (spec.reachable === "unknown") return undefined;
    this.opened.push(`${id}/${fetcher}`);
    this.openLinks++;
    let closed = false;
    const pending = new Set<(error: Error) => void>();
    const { timers } = this.node.host;
    return {
      send: async <A extends Api>(api: A, version: number, request: Input<A["request"]>): Promise<Decoded<A["response"]>> => {
        this.sent.push(`${id}/${fetcher} ${api.name}`);
        this.underWay++;
        try {
          await new Promise<void>((resolve, reject) => {
            pending.add(reject);
            if (spec.reachable === "yes") timers.after(spec.delayMs, resolve);
            else timers.after(1000, () => reject(new OperationalError("ETIMEDOUT", "silent")));
          });
        } finally {
          this.underWay--;
        }
        return spec.leader.answer(api, version, request);
      },
      close: () => {
        if (closed) return;
        closed = true;
        this.openLinks--;
        for (const reject of pending) reject(new OperationalError("ECONNABORTED", "closed"));
      },
    };
  }

  run(ms: number): Promise<void> {
    return this.world.run({ forMs: ms });
  }

  /** Whether a promise has settled by now, without time passing. */
  async settled(promise: Promise<unknown>): Promise<boolean> {
    let done = false;
    void promise.then(() => (done = true));
    await this.run(0);
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
    return done;
  }

  async close(): Promise<void> {
    await this.world.settle(this.fetchers.close());
    await this.world.settle(this.tasks.settled());
    expect([this.openLinks, this.fetchers.size, this.tasks.size, this.underWay]).toEqual([0, 0, 0, 0]);
    expect(this.node.resources).toEqual({ files: [], connections: 0, listeners: 0 });
    const { events } = this.world;
    await this.run(10_000);
    expect(this.world.events - events, "timers that were left").toBeLessThan(20);
  }

  lines(message: string): string[] {
    return this.node.log.lines().filter((line) => line.includes(message));
  }
}

describe("a fetcher", () => {
  test("replicates: truncates, fetches, and goes on with what comes", async () => {
    const bench = new Bench();
    const led = bench.lead(1, "t-0", 5);
    const replica = bench.follow(1, new ModelReplica("t", 0));
    await bench.run(1000);
    expect([replica.log.batches, replica.log.highWatermark]).toEqual([led.batches, 10]);
    led.append({ offset: 10, count: 1, epoch: 0, id: 99 });
    await bench.run(100);
    expect(replica.log.endOffset).toBe(11);
    await bench.close();
    expect(replica.watchers).toBe(0);
  });

  test("sends its next fetch only when all that the last one brought is written", async () => {
    const bench = new Bench();
    bench.lead(1, "t-0", 2);
    bench.lead(1, "t-1", 2);
    const slow = bench.follow(1, new ModelReplica("t", 0));
    const quick = bench.follow(1, new ModelReplica("t", 1));
    // The truncation at the beginning.
    await bench.run(5);
    slow.slow = true;
    await bench.run(8);
    expect([slow.log.endOffset, quick.log.endOffset, slow.unfinished]).toEqual([4, 4, 1]);
    const { length } = bench.sent;
    await bench.run(5000);
    expect([bench.sent.length, slow.log.writtenOffset]).toEqual([length, 0]);
    slow.finish();
    await bench.run(1);
    expect([bench.sent.length, slow.log.writtenOffset]).toEqual([length + 1, 4]);
    slow.slow = false;
    await bench.close();
  });

  test("gives up a partition whose write fails, at once or later, and goes on with the others", async () => {
    for (const slow of [false, true]) {
      const bench = new Bench();
      bench.lead(1, "t-0", 2);
      bench.lead(1, "t-1", 9);
      const broken = bench.follow(1, new ModelReplica("t", 0));
      const other = bench.follow(1, new ModelReplica("t", 1));
      await bench.run(5);
      broken.slow = slow;
      broken.broken = true;
      await bench.run(100);
      broken.finish();
      await bench.run(300);
      expect([other.log.endOffset, broken.watchers, bench.lines("partition failed").length]).toEqual([18, 0, 1]);
      await bench.close();
    }
  });

  test("appends nothing more to a partition that an append before, of the same answer, has unfollowed", async () => {
    const bench = new Bench();
    const replicas = [0, 1].map((partition) => {
      bench.lead(1, `t-${partition}`, 2);
      return bench.follow(1, new ModelReplica("t", partition));
    });
    const [first, second] = [must(replicas[0], "first"), must(replicas[1], "second")];
    // As where the disk fails on which both are.
    first.onAppend = () => void bench.fetchers.unfollow(["t-1"]);
    await bench.run(100);
    expect([first.log.endOffset, second.calls]).toEqual([4, ["truncate 0"]]);
    await bench.close();
  });

  test("gives up a partition that can't be truncated", async () => {
    const bench = new Bench();
    bench.lead(1, "t-0", 2);
    const replica = new ModelReplica("t", 0);
    replica.broken = true;
    bench.follow(1, replica);
    await bench.run(100);
    expect([bench.sent, bench.lines("partition failed").length]).toEqual([[], 1]);
    bench.fetchers.closeIdle();
    await bench.run(1);
    expect(bench.fetchers.size).toBe(0);
    await bench.close();
  });

  test("begins an empty log where the first batch does, if the leader's log starts within it", async () => {
    for (const slow of [false, true]) {
      const bench = new Bench();
      const led = new ModelLog();
      led.restartAt(10);
      led.append({ offset: 10, count: 10, epoch: 0, id: 1 });
      led.append({ offset: 20, count: 10, epoch: 0, id: 2 });
      led.setHighWatermark(30);
      led.startOffset = 15;
      bench.leader(1).led.set("t-0", { log: led, epoch: 0 });
      const replica = bench.follow(1, new ModelReplica("t", 0));
      await bench.run(5);
      replica.slow = slow;
      for (let steps = 0; steps < 10; steps++) {
        await bench.run(100);
        // Nothing is asked while the log is cut or written.
        const { length } = bench.sent;
        if (replica.unfinished > 0) await bench.run(1000);
        expect(replica.unfinished > 0 ? bench.sent.length : length).toBe(length);
        replica.finish();
      }
      expect(replica.calls.slice(0, 5)).toEqual(["truncate 0", "restart 15", "append 10,20 hw 30 start 15", "restart 10", "append 10,20 hw 30 start 15"]);
      expect([replica.log.batches, replica.log.highWatermark, replica.log.writtenOffset]).toEqual([led.batches, 30, 30]);
      replica.slow = false;
      await bench.close();
    }
  });

  test("does not append after a restart that was under way when it was unfollowed", async () => {
    const bench = new Bench();
    const led = new ModelLog();
    led.restartAt(10);
    led.append({ offset: 10, count: 10, epoch: 0, id: 1 });
    led.startOffset = 15;
    bench.leader(1).led.set("t-0", { log: led, epoch: 0 });
    const log = new ModelLog();
    log.restartAt(15);
    const replica = bench.follow(1, new ModelReplica("t", 0, log));
    await bench.run(5);
    replica.slow = true;
    await bench.run(100);
    expect(replica.calls.at(-1)).toBe("restart 10");
    const unfollowed = bench.fetchers.unfollow(["t-0"]);
    expect(await bench.settled(unfollowed)).toBe(false);
    replica.finish();
    await bench.world.settle(unfollowed);
    await bench.run(100);
    expect(replica.calls.at(-1)).toBe("restart 10");
    await bench.close();
  });
});

describe("unfollow", () => {
  test("waits for a truncation, and nothing is done to the log afterwards", async () => {
    const bench = new Bench();
    bench.lead(1, "t-0", 2);
    const replica = new ModelReplica("t", 0);
    replica.slow = true;
    bench.follow(1, replica);
    await bench.run(100);
    expect(replica.calls).toEqual(["truncate 0"]);
    const unfollowed = bench.fetchers.unfollow(["t-0", "other-1"]);
    await bench.run(1000);
    expect(await bench.settled(unfollowed)).toBe(false);
    replica.finish();
    expect(await bench.settled(unfollowed)).toBe(true);
    await bench.run(1000);
    expect([replica.calls, bench.sent]).toEqual([["truncate 0"], []]);
    await bench.close();
  });

  test("waits for what is appended to be written, of the partitions that it names alone", async () => {
    const bench = new Bench();
    const replicas = [0, 1].map((partition) => {
      bench.lead(1, `t-${partition}`, 2);
      return bench.follow(1, new ModelReplica("t", partition));
    });
    await bench.run(5);
    for (const replica of replicas) replica.slow = true;
    await bench.run(8);
    const [first, second] = [must(replicas[0], "first"), must(replicas[1], "second")];
    expect([first.unfinished, second.unfinished]).toEqual([1, 1]);
    const both = bench.fetchers.unfollow(["t-0", "t-1"]);
    const one = bench.fetchers.unfollow(["t-0"]);
    first.finish();
    expect([await bench.settled(one), await bench.settled(both)]).toEqual([true, false]);
    second.finish();
    expect(await bench.settled(both)).toBe(true);
    await bench.close();
  });

  test("waits for work of a fetcher that is being closed", async () => {
    const bench = new Bench();
    bench.lead(1, "t-0", 2);
    const replica = new ModelReplica("t", 0);
    replica.slow = true;
    bench.follow(1, replica);
    await bench.run(100);
    const first = bench.fetchers.unfollow(["t-0"]);
    bench.fetchers.closeIdle();
    await bench.run(10);
    const second = bench.fetchers.unfollow(["t-0"]);
    expect([await bench.settled(first), await bench.settled(second), bench.fetchers.size]).toEqual([false, false, 1]);
    replica.finish();
    expect([await bench.settled(first), await bench.settled(second)]).toEqual([true, true]);
    await bench.close();
  });

  test("does not wait for the leader, whose answer counts for nothing", async () => {
    const bench = new Bench();
    bench.lead(1, "t-0", 2);
    const replica = bench.follow(1, new ModelReplica("t", 0));
    await bench.run(5);
    expect(bench.underWay).toBe(1);
    const unfollowed = bench.fetchers.unfollow(["t-0"]);
    expect(await bench.settled(unfollowed)).toBe(true);
    await bench.run(1000);
    expect(replica.log.endOffset).toBe(0);
    await bench.close();
  });

  test("tells the leader, which forgets the partition and then the session", async () => {
    const bench = new Bench();
    bench.lead(1, "t-0", 2);
    bench.follow(1, new ModelReplica("t", 0));
    await bench.run(100);
    expect(bench.leader(1).leader.sessions).toBe(1);
    await bench.world.settle(bench.fetchers.unfollow(["t-0"]));
    await bench.run(100);
    const { length } = bench.sent;
    expect(bench.leader(1).leader.sessions).toBe(0);
    await bench.run(1000);
    expect(bench.sent.length).toBe(length);
    // Followed again, it is woken.
    const again = bench.follow(1, new ModelReplica("t", 0));
    await bench.run(100);
    expect(again.log.endOffset).toBe(4);
    await bench.close();
  });

  test("lets the partition follow another leader, or the same in another epoch", async () => {
    const bench = new Bench();
    bench.lead(1, "t-0", 3, 0);
    const replica = bench.follow(1, new ModelReplica("t", 0), 0);
    await bench.run(200);
    const second = new ModelLog();
    second.append({ offset: 0, count: 2, epoch: 0, id: 0 });
    second.append({ offset: 2, count: 3, epoch: 1, id: 50 });
    bench.leader(3).led.set("t-0", { log: second, epoch: 1 });
    await bench.world.settle(bench.fetchers.unfollow(["t-0"]));
    bench.follow(3, replica, 1);
    bench.fetchers.closeIdle();
    await bench.run(200);
    expect([replica.log.batches, replica.log.epochs]).toEqual([second.batches, second.epochs]);
    expect(bench.openLinks).toBe(1);
    await bench.close();
  });
});

describe("the leader", () => {
  test("gone, is tried again every backoff, over a new link each time, until it is there again; one line says each", async () => {
    const bench = new Bench();
    bench.lead(1, "t-0", 2);
    const spec = bench.leader(1);
    const replica = bench.follow(1, new ModelReplica("t", 0));
    await bench.run(100);
    spec.reachable = "silent";
    await bench.run(5000);
    const tries = bench.opened.length;
    expect(tries).toBeGreaterThan(3);
    expect(tries).toBeLessThan(7);
    expect([bench.openLinks, bench.lines("does not answer").length]).toEqual([1, 1]);
    spec.reachable = "yes";
    spec.leader.forgetSessions();
    must(spec.led.get("t-0"), "t-0").log.append({ offset: 4, count: 1, epoch: 0, id: 9 });
    await bench.run(1500);
    expect([replica.log.endOffset, bench.lines("answers again").length]).toEqual([5, 1]);
    await bench.close();
  });

  test("that nobody knows yet is looked for every backoff", async () => {
    const bench = new Bench();
    bench.lead(1, "t-0", 2);
    bench.leader(1).reachable = "unknown";
    const replica = bench.follow(1, new ModelReplica("t", 0));
    await bench.run(1000);
    expect([bench.opened, replica.calls]).toEqual([[], ["truncate 0"]]);
    bench.leader(1).reachable = "yes";
    await bench.run(400);
    expect(replica.log.endOffset).toBe(4);
    await bench.close();
  });

  test("that forgot the session is asked in full at once", async () => {
    const bench = new Bench();
    const led = bench.lead(1, "t-0", 2);
    const replica = bench.follow(1, new ModelReplica("t", 0));
    await bench.run(100);
    bench.leader(1).leader.forgetSessions();
    led.append({ offset: 4, count: 1, epoch: 0, id: 9 });
    await bench.run(50);
    expect([replica.log.endOffset, bench.lines("fetch session refused").length]).toEqual([5, 1]);
    await bench.close();
  });
});

describe("fetchers", () => {
  test("are as many a leader as num.replica.fetchers says; a topic's partitions are spread as Kafka spreads them", async () => {
    // abs(31 * "t".hashCode() + partition) % n, with "t".hashCode() = 116.
    expect([0, 1, 2, 3].map((partition) => fetcherOf("t", partition, 3))).toEqual([2, 0, 1, 2]);
    // A hash of -2^31, times 31, is -2^31 again; its absolute value counts as 0.
    expect([fetcherOf("polygenelubricants", 0, 7), fetcherOf("polygenelubricants", 1, 0x7fff_ffff)]).toEqual([0, 0]);
    const bench = new Bench(3);
    for (const partition of [0, 1, 3]) {
      for (const leader of [1, 4]) bench.lead(leader, `t-${partition}`, 1);
      bench.follow(partition === 1 ? 4 : 1, new ModelReplica("t", partition));
    }
    await bench.run(100);
    expect(bench.opened.toSorted()).toEqual(["1/2", "4/0"]);
    await bench.close();
  });

  test("without partitions are closed, and made again when they are needed", async () => {
    const bench = new Bench();
    bench.lead(1, "t-0", 1);
    const replica = bench.follow(1, new ModelReplica("t", 0));
    await bench.run(100);
    bench.fetchers.closeIdle();
    await bench.run(1);
    expect(bench.fetchers.size).toBe(1);
    await bench.world.settle(bench.fetchers.unfollow(["t-0"]));
    bench.fetchers.closeIdle();
    await bench.run(1);
    expect([bench.fetchers.size, bench.openLinks]).toEqual([0, 0]);
    bench.follow(1, replica, 0);
    await bench.run(100);
    expect([bench.fetchers.size, bench.openLinks]).toEqual([1, 1]);
    await bench.close();
  });

  test("closed, give up what is under way with leaders, finish local work, and follow nobody any more", async () => {
    const bench = new Bench();
    bench.lead(1, "t-0", 1);
    bench.leader(3).reachable = "silent";
    const [first, second] = [new ModelReplica("t", 0), new ModelReplica("u", 0)];
    first.slow = true;
    bench.follow(1, first);
    bench.follow(3, second);
    await bench.run(100);
    expect([bench.underWay, first.unfinished]).toEqual([1, 1]);
    const closed = bench.fetchers.close();
    await bench.run(100);
    expect([await bench.settled(closed), bench.underWay]).toEqual([false, 0]);
    first.finish();
    const { size } = bench.fetchers;
    bench.follow(7, new ModelReplica("v", 0));
    expect(bench.fetchers.size).toBe(size);
    await bench.close();
    expect([first.watchers, second.watchers]).toEqual([0, 0]);
  });

  test("closed before they began, end", async () => {
    const bench = new Bench();
    bench.follow(1, new ModelReplica("t", 0));
    await bench.close();
    expect(bench.sent).toEqual([]);
  });
});

describe("over a network", () => {
  /** A broker that answers followers, each fetch after 50 ms. */
  function serve(host: Host, port: number, leader: ModelLeader, clientIds: Set<string | null>): Promise<Listener> {
    const apis = new Map<number, Api>([fetch, listOffsets, offsetForLeaderEpoch].map((api) => [api.key, api as Api]));
    return host.net.listen({ port }, (connection) => {
      const decoder = new FrameDecoder({ frameBytesMax: 1e6 });
      const answer = (frame: Buffer): void => {
        const api = must(apis.get(frame.readInt16BE(0)), "an API of followers");
        const version = frame.readInt16BE(2);
        const reader = new Reader(frame);
        const { correlationId, clientId } = requestHeader.read(reader, requestHeaderVersion(api, version));
        clientIds.add(clientId);
        const value = leader.answer(api, version, api.request.read(reader, version));
        const chunks = encodeFrame({ schema: responseHeader, version: responseHeaderVersion(api, version), value: { correlationId } }, { schema: api.response, version, value });
        host.timers.after(50, () => {
          for (const chunk of chunks) connection.write(chunk);
        });
      };
      connection.start({ data: (chunk) => void decoder.push(chunk, answer), close: () => undefined });
    });
  }

  test("a leader that dies and comes back on another port is found there, and a close leaves no connection", async () => {
    const world = new World({ seed: 7 });
    const follower = world.addNode("follower");
    const machine = world.addNode("leader");
    const led = { log: new ModelLog(), epoch: 0 };
    led.log.append({ offset: 0, count: 2, epoch: 0, id: 1 });
    const leader = new ModelLeader(() => led);
    const clientIds = new Set<string | null>();
    let port = 9001;
    await world.settle(serve(machine.host, port, leader, clientIds));
    const tasks = new TaskGroup((error) => follower.host.fail(error));
    const fetchers = new ReplicaFetchers({
      host: follower.host,
      tasks,
      rules,
      fetchersPerLeader: 1,
      open: (_leader, fetcher) => new BrokerLink(follower.host, { host: machine.address, port, clientId: `broker-2-fetcher-${fetcher}`, connectTimeoutMs: 1000, requestTimeoutMs: 1000 }),
    });
    const replica = new ModelReplica("t", 0);
    fetchers.follow(1, [{ replica, leaderEpoch: 0 }]);
    await world.run({ until: () => replica.log.endOffset === 2, withinMs: 5000 });

    machine.kill();
    await world.run({ forMs: 3000 });
    port = 9002;
    leader.forgetSessions();
    led.log.append({ offset: 2, count: 2, epoch: 0, id: 2 });
    await world.settle(serve(machine.start(), port, leader, clientIds));
    await world.run({ until: () => replica.log.endOffset === 4, withinMs: 5000 });
    expect([follower.resources.connections, [...clientIds]]).toEqual([1, ["broker-2-fetcher-0"]]);

    await world.settle(fetchers.close());
    await world.settle(tasks.settled());
    expect(follower.resources).toEqual({ files: [], connections: 0, listeners: 0 });
  });
});
