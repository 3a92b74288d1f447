import { describe, expect, test } from "vitest";
import type { Host } from "../../host/host.ts";
import { World } from "../../host/sim/world.ts";
import { assert, must } from "../../lib/assert.ts";
import { OperationalError } from "../../lib/error.ts";
import type { Api } from "../protocol/api.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import { toBrokerId, toLeaderEpoch } from "../protocol/ids.ts";
import { createPersistentPaths, createWithParents, registerBroker } from "../znodes/operations.ts";
import { paths } from "../znodes/paths.ts";
import { create, remove, setData, type Step, type ZkReply, type ZkRequest } from "../znodes/requests.ts";
import { assign, encodeTopic } from "../znodes/topic.ts";
import { Controller } from "./controller.ts";
import type { BrokerLink, ZooKeeperListener, ZooKeeperPort } from "./ports.ts";
import type { ControllerConfig } from "./state.ts";
import { registrationOf } from "./testing/cluster-model.ts";
import { ZooKeeperModel, type ModelSession } from "./testing/zookeeper-model.ts";

/** The model behind the port, a millisecond away. */
class ModelPort implements ZooKeeperPort {
  readonly #model: ZooKeeperModel;
  readonly #host: Host;
  #listener: ZooKeeperListener | undefined;
  session: ModelSession;
  requests = 0;
  /** Nothing is answered. */
  silent = false;
  /** False: between two sessions. */
  known = true;

  constructor(model: ZooKeeperModel, host: Host) {
    this.#model = model;
    this.#host = host;
    this.session = this.#connect();
  }

  get sessionId(): bigint {
    return this.known ? this.session.id : 0n;
  }

  request(batch: readonly ZkRequest[]): Promise<readonly ZkReply[]> {
    const { session } = this;
    this.requests++;
    if (this.silent) return new Promise(() => undefined);
    return new Promise((resolve, reject) => {
      this.#host.timers.after(1, () => (session.alive ? resolve(session.request(batch)) : reject(new OperationalError("ERR_ZOOKEEPER_SESSION", "expired"))));
    });
  }

  listen(listener: ZooKeeperListener): () => void {
    this.#listener = listener;
    return () => {
      this.#listener = undefined;
    };
  }

  /** The session is said to be over, and is not: what it owns stays. */
  abandon(): void {
    this.session.alive = false;
    this.#listener?.sessionExpired();
    this.session = this.#connect();
  }

  expire(): void {
    this.#model.expire(this.session);
    this.#listener?.sessionExpired();
    this.session = this.#connect();
  }

  startSession(): void {
    this.#listener?.sessionStarted(this.session.id);
  }

  #connect(): ModelSession {
    return this.#model.connect((event) => this.#listener?.watch(event));
  }
}

interface Call {
  readonly api: string;
  readonly version: number;
  readonly atMs: number;
  readonly body: unknown;
}

/** A way to a broker that answers, or fails, as the test says. */
class ScriptedLink implements BrokerLink {
  readonly #world: World;
  readonly #host: Host;
  readonly calls: Call[] = [];
  underWay = 0;
  failing = false;
  closed = false;

  constructor(world: World, host: Host) {
    this.#world = world;
    this.#host = host;
  }

  send<A extends Api>(api: A, version: number, body: unknown): Promise<never> {
    assert(this.underWay++ === 0, "one request at a time");
    this.calls.push({ api: api.name, version, atMs: this.#world.nowMs, body });
    return new Promise((resolve, reject) => {
      this.#host.timers.after(5, () => {
        this.underWay--;
        if (this.failing || this.closed) reject(new OperationalError("ECONNREFUSED", "the broker is away"));
        else resolve({ errorCode: 0, partitionErrors: [] } as never);
      });
    });
  }

  close(): void {
    this.closed = true;
  }
}

class Stage {
  readonly world = new World({ seed: 5 });
  readonly host = this.world.addNode("one").host;
  readonly zk = new ZooKeeperModel();
  readonly port = new ModelPort(this.zk, this.host);
  readonly links: ScriptedLink[] = [];
  readonly told: string[] = [];
  readonly noted: (readonly [sessions: readonly bigint[], told: number])[] = [];
  readonly controller: Controller;

  constructor(config: Partial<ControllerConfig> = {}) {
    this.run(createPersistentPaths());
    this.run(registerBroker(registrationOf(1), 1, { id: this.port.sessionId, earlier: [] }), this.port.session);
    this.controller = new Controller({
      host: this.host,
      config: {
        brokerId: 1,
        interBrokerListener: "PLAINTEXT",
        deleteTopicEnable: true,
        uncleanLeaderElectionEnable: false,
        autoLeaderRebalanceEnable: true,
        leaderImbalancePerBrokerPercentage: 10,
        leaderImbalanceCheckIntervalMs: 300_000,
        registration: registrationOf(1),
        ...config,
      },
      zookeeper: this.port,
      links: {
        open: () => {
          const link = new ScriptedLink(this.world, this.host);
          this.links.push(link);
          return link;
        },
      },
      beforeRegistration: (sessions) => {
        // Before anything of the newest one was registered.
        this.noted.push([sessions, this.told.length]);
        return Promise.resolve();
      },
      onRegistered: (epoch) => this.told.push(`registered ${epoch}`),
      onRegistrationFailed: (error) => this.told.push(error.message),
    });
  }

  run<T>(step: Step<T>, session?: ModelSession): T {
    let result = step.next();
    while (result.done !== true) result = step.next(result.value.map((request) => this.zk.apply(request, session)));
    return result.value;
  }

  createTopic(topic: string, ...replicas: number[][]): void {
    this.run(createWithParents(paths.topic(topic), encodeTopic({ partitions: new Map(replicas.map((assigned, index) => [index, assign(assigned)])), rest: {} })));
  }

  /** What is closed leaves nothing to happen. */
  async nothingRuns(): Promise<void> {
    const before = this.world.events;
    await this.world.run({ forMs: 20_000 });
    expect(this.world.events).toBe(before);
  }

  async elected(): Promise<this> {
    this.controller.start();
    await this.world.run({ forMs: 200 });
    assert(this.controller.active, "elected");
    return this;
  }
}

describe("the controller's driver", () => {
  test("is elected, and sends a new topic's requests one at a time, in order, in the versions of 2.7", async () => {
    const stage = await new Stage().elected();
    stage.createTopic("orders", [1]);
    await stage.world.run({ forMs: 200 });
    expect(stage.controller).toMatchObject({ active: true, controllerId: 1, epoch: 1, topics: new Set(["orders"]) });
    expect(stage.links[0]?.calls.map(({ api, version }) => `${api} ${version}`)).toEqual(["UpdateMetadata 6", "LeaderAndIsr 4", "UpdateMetadata 6"]);
    await stage.world.settle(stage.controller.close());
  });

  test("repeats a request every 100 ms until the broker answers", async () => {
    const stage = await new Stage().elected();
    const link = must(stage.links[0], "link");
    link.failing = true;
    stage.createTopic("orders", [1]);
    await stage.world.run({ forMs: 350 });
    const calls = link.calls.slice(1);
    expect(calls.map(({ api }) => api)).toEqual(["LeaderAndIsr", "LeaderAndIsr", "LeaderAndIsr", "LeaderAndIsr"]);
    expect(must(calls[1], "call").atMs - must(calls[0], "call").atMs).toBeGreaterThanOrEqual(105);
    link.failing = false;
    await stage.world.run({ forMs: 300 });
    expect(link.calls.at(-1)?.api).toBe("UpdateMetadata");
    expect(link.calls.filter(({ api }) => api === "UpdateMetadata")).toHaveLength(2);
    await stage.world.settle(stage.controller.close());
  });

  test("gives a broker's requests up when the broker leaves", async () => {
    const stage = await new Stage().elected();
    const other = stage.zk.connect(() => undefined);
    stage.run(registerBroker(registrationOf(2), 1, { id: other.id, earlier: [] }), other);
    await stage.world.run({ forMs: 100 });
    const link = must(stage.links[1], "link to broker 2");
    link.failing = true;
    stage.createTopic("orders", [2, 1]);
    await stage.world.run({ forMs: 150 });
    stage.zk.expire(other);
    await stage.world.run({ forMs: 50 });
    const sent = link.calls.length;
    expect(link.closed).toBe(true);
    await stage.world.run({ forMs: 1000 });
    expect(link.calls).toHaveLength(sent);
    expect(stage.zk.json(paths.partitionState("orders", 0))).toMatchObject({ leader: 1 });
    await stage.world.settle(stage.controller.close());
  });

  test("a session that lives on though it was said to be over leaves a registration that is the broker's own, however many sessions came to nothing since", async () => {
    const stage = await new Stage().elected();
    const first = stage.port.sessionId;
    const epoch = stage.zk.czxid(paths.broker(1));
    // Its reply never comes, and the next session is told to be over before anything was done in it.
    stage.port.abandon();
    stage.port.startSession();
    const second = stage.port.sessionId;
    await stage.world.run({ until: () => stage.noted.length === 1, withinMs: 100 });
    stage.port.abandon();
    stage.port.startSession();
    await stage.world.run({ forMs: 100 });
    const third = stage.port.sessionId;
    expect(stage.noted.map(([sessions]) => sessions)).toEqual([[second, first], expect.arrayContaining([third, first]) as bigint[]]);
    expect(stage.zk.owner(paths.broker(1))).toBe(third);
    expect(stage.zk.czxid(paths.broker(1))).toBeGreaterThan(must(epoch, "epoch"));
    expect(stage.told).toEqual([`registered ${stage.zk.czxid(paths.broker(1))}`]);
    await stage.world.settle(stage.controller.close());
  });

  test("an event under way when the session ends is given up; in the next session the broker registers and is elected again", async () => {
    const stage = await new Stage().elected();
    const first = stage.port.sessionId;
    const epoch = stage.zk.czxid(paths.broker(1));
    stage.createTopic("orders", [1]);
    await stage.world.run({ forMs: 2 });
    stage.port.expire();
    await stage.world.run({ forMs: 50 });
    expect(stage.controller).toMatchObject({ active: false, controllerId: -1, epoch: 0 });
    expect(stage.links[0]?.closed).toBe(true);
    stage.port.startSession();
    await stage.world.run({ forMs: 100 });
    const again = must(stage.zk.czxid(paths.broker(1)), "czxid");
    expect(again).toBeGreaterThan(epoch ?? 0);
    expect(stage.told).toEqual([`registered ${again}`]);
    expect(stage.noted).toEqual([[[stage.port.sessionId, first], 0]]);
    expect(stage.controller).toMatchObject({ active: true, epoch: 2 });
    expect(stage.zk.json(paths.partitionState("orders", 0))).toMatchObject({ leader: 1, controller_epoch: 2 });
    await stage.world.settle(stage.controller.close());
  });

  test("a session in which another process has the broker's id is reported", async () => {
    const stage = await new Stage().elected();
    stage.port.expire();
    const thief = stage.zk.connect(() => undefined);
    stage.zk.apply(create(paths.broker(1), Buffer.from("{}"), "ephemeral"), thief);
    stage.port.startSession();
    await stage.world.run({ forMs: 100 });
    expect(stage.told).toHaveLength(1);
    expect(stage.told[0]).toContain("broker 1 is registered by another process");
    expect(stage.controller.active).toBe(false);
    await stage.world.settle(stage.controller.close());
  });

  test("leaders go back to their preferred replicas 5 s after the election", async () => {
    const stage = new Stage();
    const other = stage.zk.connect(() => undefined);
    stage.run(registerBroker(registrationOf(2), 1, { id: other.id, earlier: [] }), other);
    stage.createTopic("orders", [2, 1]);
    stage.run(createWithParents(paths.partitionState("orders", 0), Buffer.from('{"controller_epoch":0,"leader":1,"version":1,"leader_epoch":3,"isr":[1,2]}')));
    await stage.elected();
    await stage.world.run({ forMs: 4500 });
    expect(stage.zk.json(paths.partitionState("orders", 0))).toMatchObject({ leader: 1 });
    await stage.world.run({ forMs: 1000 });
    expect(stage.zk.json(paths.partitionState("orders", 0))).toMatchObject({ leader: 2, leader_epoch: 4 });
    await stage.world.settle(stage.controller.close());
  });

  test("gives /controller back when it closes, at once", async () => {
    const stage = await new Stage().elected();
    stage.createTopic("orders", [1]);
    await stage.world.run({ forMs: 3 });
    const before = stage.world.nowMs;
    await stage.world.settle(stage.controller.close());
    expect(stage.zk.has(paths.controller)).toBe(false);
    expect(stage.zk.has(paths.broker(1))).toBe(true);
    expect(stage.world.nowMs - before).toBeLessThan(10);
    expect(stage.controller).toMatchObject({ active: false, controllerId: -1 });
    await stage.nothingRuns();
  });

  test("leaves /controller to another broker that has it, and does not stand again", async () => {
    const stage = await new Stage().elected();
    const request = stage.port.request.bind(stage.port);
    // The other one is elected between the decision to close and the removal.
    const other = stage.zk.connect(() => undefined);
    stage.port.request = (batch) => {
      if (stage.zk.owner(paths.controller) === stage.port.sessionId) {
        stage.zk.apply(remove(paths.controller));
        stage.zk.apply(create(paths.controller, Buffer.from('{"version":1,"brokerid":2,"timestamp":"1"}'), "ephemeral"), other);
        stage.zk.apply(setData(paths.controllerEpoch, Buffer.from("2")));
      }
      return request(batch);
    };
    await stage.world.settle(stage.controller.close());
    expect(stage.zk.owner(paths.controller)).toBe(other.id);
    expect(stage.zk.data(paths.controllerEpoch)?.toString()).toBe("2");
    expect(stage.controller.active).toBe(false);
    await stage.nothingRuns();
  });

  test("does not stand again as it closes, though /controller is gone and its epoch taken", async () => {
    const stage = await new Stage().elected();
    stage.zk.apply(setData(paths.controllerEpoch, Buffer.from("2")));
    const stopped = stage.controller.close();
    stage.zk.apply(remove(paths.controller));
    await stage.world.settle(stopped);
    expect(stage.zk.data(paths.controllerEpoch)?.toString()).toBe("2");
    expect(stage.zk.has(paths.controller)).toBe(false);
    await stage.nothingRuns();
  });

  test("a broker that is not the controller closes without a request", async () => {
    const stage = new Stage();
    const other = stage.zk.connect(() => undefined);
    stage.zk.apply(create(paths.controller, Buffer.from('{"version":1,"brokerid":2,"timestamp":"1"}'), "ephemeral"), other);
    stage.controller.start();
    await stage.world.run({ forMs: 100 });
    expect(stage.controller).toMatchObject({ active: false, controllerId: 2 });
    const { requests } = stage.port;
    await stage.world.settle(stage.controller.close());
    expect(stage.port.requests).toBe(requests);
    expect(stage.zk.owner(paths.controller)).toBe(other.id);
  });

  test("closes within a second though ZooKeeper does not answer, and leaves nothing running", async () => {
    const stage = await new Stage().elected();
    stage.port.silent = true;
    stage.controller.enqueue({ kind: "topicChange" });
    await stage.world.run({ forMs: 10 });
    const before = stage.world.nowMs;
    await stage.world.settle(stage.controller.close());
    expect(stage.world.nowMs - before).toBeLessThanOrEqual(1000);
    expect(stage.controller.active).toBe(false);
    expect(stage.links.every((link) => link.closed)).toBe(true);
    await stage.nothingRuns();
  });
});

describe("a session that ends between the broker's registration and the controller's start", () => {
  test("is noticed: the broker registers in the next one, and says so", async () => {
    const stage = new Stage();
    stage.port.expire();
    await stage.elected();
    expect(stage.zk.owner(paths.broker(1))).toBe(stage.port.sessionId);
    expect(stage.told).toEqual([`registered ${stage.zk.czxid(paths.broker(1))}`]);
    expect(stage.links[0]?.calls[0]?.body).toMatchObject({ brokerEpoch: stage.zk.czxid(paths.broker(1)) });
    await stage.world.settle(stage.controller.close());
  });

  test("with none after it yet, the broker waits for the next one", async () => {
    const stage = new Stage();
    stage.port.expire();
    stage.port.known = false;
    stage.controller.start();
    await stage.world.run({ forMs: 50 });
    expect(stage.port.requests).toBe(0);
    stage.port.known = true;
    stage.port.startSession();
    await stage.world.run({ forMs: 50 });
    expect(stage.zk.owner(paths.broker(1))).toBe(stage.port.sessionId);
    expect(stage.zk.owner(paths.controller)).toBe(stage.port.sessionId);
    expect(stage.told).toHaveLength(1);
    await stage.world.settle(stage.controller.close());
  });

  test("is none where the registration stands: nothing is registered anew", async () => {
    const stage = await new Stage().elected();
    expect(stage.told).toEqual([]);
    await stage.world.settle(stage.controller.close());
  });
});

describe("a question to the controller", () => {
  const notController = { errorCode: ErrorCode.NOT_CONTROLLER, topics: [] };
  const noShutdown = { errorCode: ErrorCode.STALE_CONTROLLER_EPOCH, remainingPartitions: [] };

  /** With `orders-0` led by broker 1, which broker 2 follows. */
  async function withTopic(): Promise<Stage> {
    const stage = new Stage();
    const other = stage.zk.connect(() => undefined);
    stage.run(registerBroker(registrationOf(2), 1, { id: other.id, earlier: [] }), other);
    stage.createTopic("orders", [1, 2]);
    await stage.elected();
    return stage;
  }

  /** Asks both questions, once each; what is missing has not been answered. */
  function askBoth(stage: Stage): { readonly answers: unknown[] } {
    const answers: unknown[] = [];
    const brokerEpoch = must(stage.zk.czxid(paths.broker(1)), "epoch");
    const partitions = [{ partitionIndex: 0, leaderEpoch: toLeaderEpoch(0), newIsr: [toBrokerId(1)], currentIsrVersion: 0 }];
    const note = (answer: unknown): unknown => answers.push(answer);
    stage.controller.alterIsr({ brokerId: toBrokerId(1), brokerEpoch, topics: [{ name: "orders", partitions }] }).then(note, note);
    stage.controller.controlledShutdown({ brokerId: toBrokerId(2), brokerEpoch: -1 }).then(note, note);
    return { answers };
  }

  test("is answered when the event is done", async () => {
    const stage = await withTopic();
    const { answers } = askBoth(stage);
    await stage.world.run({ forMs: 0.5 });
    expect(answers).toEqual([]);
    await stage.world.run({ forMs: 100 });
    expect(answers).toEqual([
      { errorCode: 0, topics: [{ name: "orders", partitions: [{ partitionIndex: 0, errorCode: 0, leaderId: 1, leaderEpoch: 0, isr: [1], currentIsrVersion: 1 }] }] },
      { errorCode: 0, remainingPartitions: [] },
    ]);
    expect(stage.zk.json(paths.partitionState("orders", 0))).toMatchObject({ leader: 1, isr: [1] });
    await stage.world.settle(stage.controller.close());
  });

  test("is refused at once, without asking ZooKeeper, by a broker that is not the controller", async () => {
    const stage = new Stage();
    const { answers } = askBoth(stage);
    await stage.world.run({ forMs: 0 });
    expect(answers).toEqual([notController, noShutdown]);
    expect(stage.port.requests).toBe(0);
    // Nor does it wait for what the broker is about.
    stage.port.silent = true;
    stage.controller.start();
    await stage.world.run({ forMs: 10 });
    const later = askBoth(stage);
    await stage.world.run({ forMs: 0 });
    expect(later.answers).toEqual([notController, noShutdown]);
    await stage.world.settle(stage.controller.close());
  });

  test("is refused when the session ends, under way or not yet begun", async () => {
    const stage = await withTopic();
    const { answers } = askBoth(stage);
    await stage.world.run({ forMs: 0.5 });
    stage.port.expire();
    await stage.world.run({ forMs: 0 });
    expect(answers.toSorted(byError)).toEqual([noShutdown, notController]);
    stage.port.startSession();
    await stage.world.run({ forMs: 100 });
    expect(answers).toHaveLength(2);
    await stage.world.settle(stage.controller.close());
  });

  test("is refused when the controller has moved before the event, or the one ahead of it, is done", async () => {
    const stage = await withTopic();
    stage.zk.apply(setData(paths.controllerEpoch, Buffer.from("7")));
    const { answers } = askBoth(stage);
    await stage.world.run({ forMs: 200 });
    expect(answers).toEqual([notController, noShutdown]);
    expect(stage.controller).toMatchObject({ active: true, epoch: 8 });
    await stage.world.settle(stage.controller.close());
  });

  test("is refused when the broker stops, under way or not yet begun, and afterwards", async () => {
    const stage = await withTopic();
    stage.port.silent = true;
    const { answers } = askBoth(stage);
    await stage.world.run({ forMs: 5 });
    const closing = stage.controller.close();
    await stage.world.run({ forMs: 0 });
    expect(answers.toSorted(byError)).toEqual([noShutdown, notController]);
    const late = askBoth(stage);
    await stage.world.settle(closing);
    expect([...answers, ...late.answers]).toHaveLength(4);
    expect(late.answers.toSorted(byError)).toEqual([noShutdown, notController]);
  });

  test("is refused when the core breaks, and so are those behind it", async () => {
    const stage = await withTopic();
    const { answers } = askBoth(stage);
    // A stat is what a write must have.
    const request = stage.port.request.bind(stage.port);
    stage.port.request = async (batch) => (await request(batch)).map((reply) => ({ ...reply, results: reply.results.map((result) => ({ ...result, stat: undefined })) }));
    await stage.world.run({ forMs: 100 }).catch(() => undefined);
    expect(answers.toSorted(byError)).toEqual([noShutdown, notController]);
    expect(stage.world.failures).toHaveLength(1);
  });
});

function byError(a: unknown, b: unknown): number {
  const codeOf = (answer: unknown): number => (typeof answer === "object" && answer !== null && "errorCode" in answer ? Number(answer.errorCode) : -100);
  return codeOf(a) - codeOf(b);
}
