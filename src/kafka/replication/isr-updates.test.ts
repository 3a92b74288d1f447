import { expect, test } from "vitest";
import type { Decoded, Input } from "../../codec/schema.ts";
import { World } from "../../host/sim/world.ts";
import { OperationalError } from "../../lib/error.ts";
import { TaskGroup } from "../../lib/task-group.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import { alterIsr, type alterIsrRequest, type alterIsrResponse } from "../protocol/messages/alter-isr.ts";
import { IsrUpdates } from "./isr-updates.ts";
import type { IsrAnswer, IsrProposal, IsrSubject, ToController } from "./ports.ts";

type Request = Input<typeof alterIsrRequest>;
type Response = Decoded<typeof alterIsrResponse>;
type Answer = { readonly error: ErrorCode; readonly isr?: readonly number[]; readonly zkVersion?: number };

/** A request that is under way. */
interface Sent {
  readonly atMs: number;
  readonly version: number;
  readonly request: Request;
  readonly isElsewhere: (response: Response) => boolean;
  readonly resolve: (response: Response) => void;
  readonly reject: (error: Error) => void;
}

function responseOf(partitions: Readonly<Record<string, Answer>>, errorCode: ErrorCode = ErrorCode.NONE): Response {
  const topics = Object.entries(partitions).map(([name, { error, isr = [], zkVersion = 0 }]) => {
    const [topic, index] = name.split("-");
    return { name: topic ?? "", partitions: [{ partitionIndex: Number(index), errorCode: error, leaderId: 1, leaderEpoch: 5, isr, currentIsrVersion: zkVersion }] };
  });
  return { throttleTimeMs: 0, errorCode, topics } as unknown as Response;
}

class Bench {
  readonly world = new World({ seed: 1 });
  readonly node = this.world.addNode("broker");
  readonly sent: Sent[] = [];
  readonly failures: Error[] = [];
  brokerEpoch = 77;
  readonly updates: IsrUpdates;

  constructor() {
    const { timers, log, clock } = this.node.host;
    const send: (api: typeof alterIsr, version: number, request: Request, isElsewhere: (response: Response) => boolean) => Promise<Response> = (api, version, request, isElsewhere) => {
      expect(api).toBe(alterIsr);
      return new Promise((resolve, reject) => this.sent.push({ atMs: clock.monotonicMs(), version, request, isElsewhere, resolve, reject }));
    };
    const controller = { send } as unknown as ToController;
    const tasks = new TaskGroup((error) => this.failures.push(error));
    this.updates = new IsrUpdates({ timers, log, tasks, brokerId: 1, brokerEpoch: () => this.brokerEpoch, controller });
  }

  /** A leader with what it was told; it says `again` to errors. */
  subject(name: string): IsrSubject & { readonly told: [IsrProposal, IsrAnswer][]; onDecided: (() => void) | undefined } {
    const [topic = "", index] = name.split("-");
    const told: [IsrProposal, IsrAnswer][] = [];
    return {
      topic,
      partition: Number(index),
      told,
      onDecided: undefined,
      isrDecided(decided, answer) {
        told.push([decided, answer]);
        this.onDecided?.();
        return answer.kind === "error" ? "again" : "done";
      },
    };
  }

  get last(): Sent {
    const last = this.sent.at(-1);
    if (last === undefined) throw new Error("nothing was sent");
    return last;
  }

  /** What the last request asks for, by partition. */
  get asked(): Record<string, readonly number[]> {
    return Object.fromEntries(this.last.request.topics.flatMap(({ name, partitions }) => partitions.map(({ partitionIndex, newIsr }) => [`${name}-${partitionIndex}`, newIsr])));
  }

  run(ms: number): Promise<void> {
    return this.world.run({ forMs: ms });
  }
}

function proposal(isr: readonly number[], zkVersion = 3): IsrProposal {
  return { leaderEpoch: 5, isr, zkVersion };
}

test("what is proposed within 50 ms goes in one request, with the broker's epoch of then", async () => {
  const bench = new Bench();
  bench.updates.propose(bench.subject("t-0"), proposal([1, 2]));
  await bench.run(40);
  bench.updates.propose(bench.subject("u-3"), proposal([1]));
  bench.updates.propose(bench.subject("t-7"), proposal([2, 1], 9));
  bench.brokerEpoch = 78;
  expect(bench.sent.length).toBe(0);
  await bench.run(30);
  expect(bench.sent.map(({ version, request }) => ({ version, request }))).toEqual([
    {
      version: 0,
      request: {
        brokerId: 1,
        brokerEpoch: 78,
        topics: [
          {
            name: "t",
            partitions: [
              { partitionIndex: 0, leaderEpoch: 5, newIsr: [1, 2], currentIsrVersion: 3 },
              { partitionIndex: 7, leaderEpoch: 5, newIsr: [2, 1], currentIsrVersion: 9 },
            ],
          },
          { name: "u", partitions: [{ partitionIndex: 3, leaderEpoch: 5, newIsr: [1], currentIsrVersion: 3 }] },
        ],
      },
    },
  ]);
});

test("one request is under way at a time; what comes meanwhile goes with the next", async () => {
  const bench = new Bench();
  const [first, second] = [bench.subject("t-0"), bench.subject("t-1")];
  bench.updates.propose(first, proposal([1, 2]));
  await bench.run(60);
  bench.updates.propose(second, proposal([1, 3]));
  await bench.run(1000);
  expect(bench.sent.length).toBe(1);
  bench.last.resolve(responseOf({ "t-0": { error: ErrorCode.NONE, isr: [1, 2], zkVersion: 4 } }));
  await bench.run(40);
  expect(first.told).toEqual([[proposal([1, 2]), { kind: "state", leaderEpoch: 5, isr: [1, 2], zkVersion: 4 }]]);
  expect(bench.sent.length).toBe(1);
  await bench.run(20);
  expect([bench.sent.length, bench.asked]).toEqual([2, { "t-1": [1, 3] }]);
  bench.last.resolve(responseOf({ "t-1": { error: ErrorCode.NONE, isr: [1, 3], zkVersion: 4 } }));
  await bench.run(1000);
  expect(bench.sent.length).toBe(2);
});

test("an error of the whole answer leaves everything to be sent again, after 50 ms, with the epoch of then", async () => {
  const bench = new Bench();
  const subject = bench.subject("t-0");
  bench.updates.propose(subject, proposal([1, 2]));
  await bench.run(60);
  bench.brokerEpoch = 99;
  for (const error of [ErrorCode.STALE_BROKER_EPOCH, ErrorCode.UNKNOWN_SERVER_ERROR, ErrorCode.CLUSTER_AUTHORIZATION_FAILED]) {
    const before = bench.last;
    bench.last.resolve(responseOf({}, error));
    await bench.run(60);
    expect(bench.last).not.toBe(before);
    expect(bench.node.log.lines().at(-1)).toContain("ISR change sent again");
  }
  expect([bench.last.request.brokerEpoch, subject.told, bench.asked]).toEqual([99, [], { "t-0": [1, 2] }]);
});

test("what the answer lacks is sent again, what it holds is decided", async () => {
  const bench = new Bench();
  const [there, missing] = [bench.subject("t-0"), bench.subject("t-1")];
  bench.updates.propose(there, proposal([1, 2]));
  bench.updates.propose(missing, proposal([1, 3]));
  await bench.run(60);
  bench.last.resolve(responseOf({ "t-0": { error: ErrorCode.NONE, isr: [1, 2], zkVersion: 4 }, "v-9": { error: ErrorCode.NONE } }));
  await bench.run(60);
  expect([there.told.length, missing.told.length, bench.asked]).toEqual([1, 0, { "t-1": [1, 3] }]);
});

test("what its leader wants to repeat is sent again, unless it has proposed something else meanwhile", async () => {
  const bench = new Bench();
  const [repeats, renews] = [bench.subject("t-0"), bench.subject("t-1")];
  bench.updates.propose(repeats, proposal([1, 2]));
  bench.updates.propose(renews, proposal([1, 3]));
  renews.onDecided = () => bench.updates.propose(renews, proposal([1], 8));
  await bench.run(60);
  bench.last.resolve(responseOf({ "t-0": { error: ErrorCode.UNKNOWN_SERVER_ERROR }, "t-1": { error: ErrorCode.UNKNOWN_SERVER_ERROR } }));
  await bench.run(60);
  expect(repeats.told).toEqual([[proposal([1, 2]), { kind: "error", error: ErrorCode.UNKNOWN_SERVER_ERROR }]]);
  expect(bench.asked).toEqual({ "t-0": [1, 2], "t-1": [1] });
});

test("what was withdrawn while under way is not decided, nor what was proposed in its place", async () => {
  const bench = new Bench();
  const [withdrawn, renewed] = [bench.subject("t-0"), bench.subject("t-1")];
  bench.updates.propose(withdrawn, proposal([1, 2]));
  bench.updates.propose(renewed, proposal([1, 3]));
  await bench.run(60);
  bench.updates.withdraw(withdrawn);
  bench.updates.withdraw(renewed);
  bench.updates.propose(renewed, proposal([1, 3]));
  bench.last.resolve(responseOf({ "t-0": { error: ErrorCode.NONE }, "t-1": { error: ErrorCode.NONE } }));
  await bench.run(60);
  expect([withdrawn.told, renewed.told, bench.asked]).toEqual([[], [], { "t-1": [1, 3] }]);
});

test("where everything was withdrawn, nothing is sent", async () => {
  const bench = new Bench();
  const subject = bench.subject("t-0");
  bench.updates.propose(subject, proposal([1, 2]));
  bench.updates.withdraw(subject);
  await bench.run(1000);
  expect(bench.sent.length).toBe(0);
  bench.updates.propose(subject, proposal([1, 2]));
  await bench.run(60);
  expect(bench.sent.length).toBe(1);
});

test("an answer is not a controller's where it says so, as a whole or of a partition", async () => {
  const bench = new Bench();
  bench.updates.propose(bench.subject("t-0"), proposal([1, 2]));
  await bench.run(60);
  const { isElsewhere } = bench.last;
  expect(isElsewhere(responseOf({}, ErrorCode.NOT_CONTROLLER))).toBe(true);
  expect(isElsewhere(responseOf({ "t-0": { error: ErrorCode.NONE }, "t-1": { error: ErrorCode.NOT_CONTROLLER } }))).toBe(true);
  expect(isElsewhere(responseOf({ "t-0": { error: ErrorCode.INVALID_UPDATE_VERSION } }, ErrorCode.STALE_BROKER_EPOCH))).toBe(false);
});

test("once closed nothing is sent, and a way that closes too is no failure; before that it is", async () => {
  const closed = new OperationalError("ECONNABORTED", "closed");
  const bench = new Bench();
  bench.updates.propose(bench.subject("t-0"), proposal([1, 2]));
  await bench.run(60);
  bench.updates.close();
  bench.updates.propose(bench.subject("t-1"), proposal([1, 2]));
  bench.last.reject(closed);
  await bench.run(1000);
  expect([bench.sent.length, bench.failures]).toEqual([1, []]);

  const other = new Bench();
  other.updates.propose(other.subject("t-0"), proposal([1, 2]));
  await other.run(60);
  other.last.reject(closed);
  await other.run(10);
  expect(other.failures).toEqual([closed]);

  const early = new Bench();
  early.updates.propose(early.subject("t-0"), proposal([1, 2]));
  early.updates.close();
  await early.run(1000);
  expect(early.sent.length).toBe(0);
});
