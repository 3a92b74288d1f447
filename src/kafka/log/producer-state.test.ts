import { describe, expect, test } from "vitest";
import { ErrorCode } from "../protocol/error-codes.ts";
import { setBatchPlace } from "../records/batch.ts";
import { buildBatch } from "../records/build.ts";
import { buildEndTxnMarker } from "../records/control.ts";
import { decodeSnapshot, encodeSnapshot } from "./producer-snapshot.ts";
import { ProducerState, type CompletedTxn } from "./producer-state.ts";

interface Step {
  readonly pid?: number;
  readonly epoch?: number;
  readonly sequence?: number;
  readonly count?: number;
  readonly transactional?: boolean;
  readonly timestamp?: number;
}

/** A log that keeps nothing but its producers. */
class Producers {
  readonly state = new ProducerState();

  data({ pid = 1, epoch = 0, sequence = 0, count = 1, transactional = false, timestamp = 1000 }: Step, origin: "client" | "coordinator" = "client"): number | string {
    const records = Array.from({ length: count }, () => ({ key: null, value: Buffer.from("v"), timestamp }));
    return this.#append(buildBatch(records, { producerId: pid, producerEpoch: epoch, baseSequence: sequence, transactional }), count, origin);
  }

  marker(committed: boolean, { pid = 1, epoch = 0, timestamp = 1000 }: Step = {}, coordinatorEpoch = 0): number | string {
    return this.#append(buildEndTxnMarker(pid, epoch, { committed, coordinatorEpoch, timestamp }), 1, "coordinator");
  }

  completed: CompletedTxn | undefined;

  #append(batch: Buffer, count: number, origin: "client" | "coordinator"): number | string {
    const verdict = this.state.check(batch, 0, batch.length, origin);
    if (verdict !== undefined) return verdict.kind === "duplicate" ? `duplicate of ${verdict.firstOffset}` : verdict.error;
    const offset = this.state.endOffset;
    setBatchPlace(batch, 0, offset, 0);
    this.completed = this.state.apply(batch, 0, batch.length);
    this.state.endOffset = offset + count;
    return `at ${offset}`;
  }
}

describe("sequence numbers", () => {
  test("they count on by records, and a gap or a step back is out of order", () => {
    const producers = new Producers();
    expect(producers.data({ sequence: 0, count: 3 })).toBe("at 0");
    expect(producers.data({ sequence: 3 })).toBe("at 3");
    expect(producers.data({ sequence: 5 })).toBe(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER);
    expect(producers.data({ sequence: 1 })).toBe(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER);
  });

  test("a producer that is not known may begin anywhere", () => {
    expect(new Producers().data({ sequence: 77 })).toBe("at 0");
  });

  test("they wrap from 2^31-1 to 0, within a batch and between batches", () => {
    const producers = new Producers();
    expect(producers.data({ sequence: 2 ** 31 - 2, count: 3 })).toBe("at 0");
    expect(producers.data({ sequence: 1 })).toBe("at 3");
    expect(producers.data({ sequence: 2 ** 31 - 2, count: 3 })).toBe("duplicate of 0");
    const exact = new Producers();
    exact.data({ sequence: 2 ** 31 - 1 });
    expect(exact.data({ sequence: 0 })).toBe("at 1");
  });

  test("the last five batches are known again, exactly as they were", () => {
    const producers = new Producers();
    for (let index = 0; index < 6; index++) producers.data({ sequence: 2 * index, count: 2 });
    expect(producers.data({ sequence: 2, count: 2 })).toBe("duplicate of 2");
    expect(producers.data({ sequence: 10, count: 2 })).toBe("duplicate of 10");
    expect(producers.data({ sequence: 0, count: 2 })).toBe(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER);
    expect(producers.data({ sequence: 2, count: 1 })).toBe(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER);
  });

  test("coordinators are not asked for them", () => {
    const producers = new Producers();
    producers.data({ sequence: 0 }, "coordinator");
    expect(producers.data({ sequence: 0 }, "coordinator")).toBe("at 1");
  });
});

describe("epochs", () => {
  test("an older one is refused, a newer one begins at 0", () => {
    const producers = new Producers();
    producers.data({ epoch: 3, sequence: 0 });
    expect(producers.data({ epoch: 2, sequence: 1 })).toBe(ErrorCode.INVALID_PRODUCER_EPOCH);
    expect(producers.data({ epoch: 4, sequence: 1 })).toBe(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER);
    expect(producers.data({ epoch: 4, sequence: 0 })).toBe("at 1");
    expect(producers.data({ epoch: 4, sequence: 1 })).toBe("at 2");
  });

  test("after a marker of a newer epoch the producer begins at 0, and its predecessor is fenced", () => {
    const producers = new Producers();
    producers.data({ epoch: 0, sequence: 0, transactional: true });
    expect(producers.marker(false, { epoch: 1 })).toBe("at 1");
    expect(producers.data({ epoch: 0, sequence: 1, transactional: true })).toBe(ErrorCode.INVALID_PRODUCER_EPOCH);
    expect(producers.data({ epoch: 1, sequence: 1, transactional: true })).toBe(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER);
    expect(producers.data({ epoch: 1, sequence: 0, transactional: true })).toBe("at 2");
  });

  test("markers of an older producer epoch or an older coordinator are refused", () => {
    const producers = new Producers();
    producers.data({ epoch: 5, transactional: true });
    expect(producers.marker(true, { epoch: 4 })).toBe(ErrorCode.INVALID_PRODUCER_EPOCH);
    expect(producers.marker(true, { epoch: 5 }, 7)).toBe("at 1");
    expect(producers.marker(true, { epoch: 5 }, 6)).toBe(ErrorCode.TRANSACTION_COORDINATOR_FENCED);
    expect(producers.marker(true, { epoch: 5 }, 7)).toBe("at 2");
  });
});

describe("transactions", () => {
  test("a plain batch inside an open transaction is refused", () => {
    const producers = new Producers();
    producers.data({ sequence: 0, transactional: true });
    expect(producers.data({ sequence: 1 })).toBe(ErrorCode.INVALID_TXN_STATE);
    producers.marker(true);
    expect(producers.data({ sequence: 1 })).toBe("at 2");
  });

  test("the first unstable offset is the oldest open transaction's, and stays until its marker is replicated", () => {
    const log = new Producers();
    expect(log.state.firstUnstableOffset).toBeUndefined();
    log.data({ pid: 1, transactional: true });
    log.data({ pid: 2, transactional: true });
    expect(log.state.firstUnstableOffset).toBe(0);
    log.marker(true, { pid: 1 });
    expect(log.state.firstUnstableOffset).toBe(0);
    log.state.onHighWatermark(2);
    expect(log.state.firstUnstableOffset).toBe(0);
    log.state.onHighWatermark(3);
    expect(log.state.firstUnstableOffset).toBe(1);
    log.marker(false, { pid: 2 });
    log.state.onHighWatermark(4);
    expect(log.state.firstUnstableOffset).toBeUndefined();
  });

  test("a completed transaction tells its range, its fate, and what was decided then", () => {
    const log = new Producers();
    log.data({ pid: 1, transactional: true });
    log.data({ pid: 2, transactional: true });
    log.marker(false, { pid: 1 });
    expect(log.completed).toEqual({ producerId: 1, firstOffset: 0, lastOffset: 2, aborted: true, lastStableOffset: 1 });
    log.marker(true, { pid: 2 });
    expect(log.completed).toEqual({ producerId: 2, firstOffset: 1, lastOffset: 3, aborted: false, lastStableOffset: 4 });
    log.marker(false, { pid: 9 });
    expect(log.completed).toEqual({ producerId: 9, firstOffset: 4, lastOffset: 4, aborted: true, lastStableOffset: 5 });
  });
});

test("idle producers are forgotten, those with an open transaction never", () => {
  const log = new Producers();
  log.data({ pid: 1, timestamp: 1000 });
  log.data({ pid: 2, timestamp: 2000 });
  log.data({ pid: 3, timestamp: 1000, transactional: true });
  log.state.expire(2500, 1000);
  expect([...log.state.producers.keys()]).toEqual([2, 3]);
});

describe("snapshots", () => {
  const filled = (): Producers => {
    const log = new Producers();
    log.data({ pid: 1, epoch: 2, sequence: 0, count: 3, timestamp: 1234 });
    log.data({ pid: 1, epoch: 2, sequence: 3, count: 2, timestamp: 1235, transactional: true });
    log.marker(true, { pid: 2, epoch: 1, timestamp: 99 }, 4);
    return log;
  };

  test("they keep the newest batch of each producer, and its open transaction", () => {
    const log = filled();
    const entries = decodeSnapshot(encodeSnapshot(log.state.producers));
    expect(entries).toEqual([
      { producerId: 1, epoch: 2, batches: [{ lastSequence: 4, lastOffset: 4, offsetDelta: 1, timestamp: 1235 }], coordinatorEpoch: -1, lastTimestamp: 1235, currentTxnFirstOffset: 3 },
      { producerId: 2, epoch: 1, batches: [], coordinatorEpoch: 4, lastTimestamp: 99, currentTxnFirstOffset: -1 },
    ]);
    const again = new Producers();
    again.state.reset(6, entries);
    expect(again.state.firstUnstableOffset).toBe(3);
    expect(again.data({ pid: 1, epoch: 2, sequence: 3, count: 2, transactional: true })).toBe("duplicate of 3");
    expect(again.data({ pid: 1, epoch: 2, sequence: 5, transactional: true })).toBe("at 6");
    expect(again.data({ pid: 2, epoch: 1, sequence: 0 })).toBe("at 7");
  });

  test("a damaged file, or one of another version, is none", () => {
    const bytes = encodeSnapshot(filled().state.producers);
    for (let at = 0; at < bytes.length; at++) {
      const damaged = Buffer.from(bytes);
      damaged[at] = (damaged[at] as number) ^ 1;
      expect(decodeSnapshot(damaged), `byte ${at}`).toBeUndefined();
    }
    for (let length = 0; length < bytes.length; length++) expect(decodeSnapshot(bytes.subarray(0, length))).toBeUndefined();
  });
});
