import type { WorldOptions } from "../../src/host/sim/options.ts";
import { Prng } from "../../src/lib/prng.ts";
import type { ClusterShape } from "./cluster-world.ts";
import { drawPlan } from "../trouble.ts";
import { FAULT_KINDS, LENGTHS, SYNCED_KINDS, TARGETS, type FaultKind, type BrokerFault } from "./faults.ts";

/** What a seed stands for: how many take part, how they are configured, who writes what, what goes wrong. */
export interface Draw {
  readonly shape: ClusterShape;
  readonly world: Omit<WorldOptions, "seed">;
  /** Of the topic `loose`: whether a replica that is not in sync may lead, and whether old segments go. */
  readonly unclean: boolean;
  readonly retained: boolean;
  /** Brokers sync what they append before they acknowledge it, and lose power too. */
  readonly synced: boolean;
  readonly producers: { readonly window: number; readonly pauseMsMax: number; readonly valueBytesMax: number; readonly largeBytes: number };
  readonly readers: { readonly maxWaitMs: number; readonly maxBytes: number };
  readonly churnPauseMsMax: number;
  readonly kinds: readonly FaultKind[];
  readonly plan: readonly BrokerFault[];
}

export const FAULTS_FROM_MS = 5000;

export function draw(seed: string): Draw {
  const root = new Prng(seed);
  const shape = root.fork("shape");
  const tickMs = shape.pick([250, 500]);
  const segmentBytes = shape.pick([4096, 16_384, 131_072, 524_288]);
  const unclean = shape.chance(1, 2);
  const retained = shape.chance(1, 3);
  const synced = shape.chance(1, 4);
  const racks = shape.pick([[undefined, undefined, undefined], ["a", "b", "c"], ["a", "a", "b"]] as const);
  const brokerSettings = [
    `zookeeper.session.timeout.ms=${shape.pick([4000, 6000, 8000])}`,
    `replica.lag.time.max.ms=${shape.pick([1500, 2500, 4000])}`,
    `replica.fetch.wait.max.ms=${shape.pick([50, 200, 500])}`,
    `replica.fetch.backoff.ms=${shape.pick([50, 200, 1000])}`,
    `replica.fetch.max.bytes=${shape.pick([4096, 65_536, 1_048_576])}`,
    `replica.socket.timeout.ms=${shape.pick([2000, 5000])}`,
    `request.timeout.ms=${shape.pick([2000, 5000])}`,
    `controller.socket.timeout.ms=${shape.pick([2000, 5000])}`,
    `num.replica.fetchers=${shape.between(1, 2)}`,
    `log.segment.bytes=${segmentBytes}`,
    "log.index.interval.bytes=256",
    "log.index.size.max.bytes=4096",
    "log.segment.delete.delay.ms=1000",
    "log.retention.check.interval.ms=1000",
    `max.incremental.fetch.session.cache.slots=${shape.pick([1, 3, 1000])}`,
    "leader.imbalance.check.interval.seconds=5",
    `leader.imbalance.per.broker.percentage=${shape.pick([0, 10])}`,
    `controlled.shutdown.enable=${shape.chance(5, 6)}`,
    `controlled.shutdown.retry.backoff.ms=${shape.pick([200, 1000])}`,
    `replica.high.watermark.checkpoint.interval.ms=${shape.pick([200, 1000, 5000])}`,
    "log.flush.offset.checkpoint.interval.ms=1000",
    "auto.create.topics.enable=false",
    ...(synced ? ["log.flush.interval.messages=1"] : []),
  ];
  const machines = root.fork("machines");
  const unevenClocks = machines.chance(1, 3);
  const slowDisks = machines.chance(1, 4);
  const trouble = root.fork("trouble");
  const kinds = FAULT_KINDS.filter((kind) => trouble.chance(3, 5) || kind === "kill").filter((kind) => (unevenClocks || kind !== "clock") && (synced || !SYNCED_KINDS.has(kind)));
  const untilMs = trouble.pick([13_000, 17_000, 21_000]);
  return {
    shape: {
      members: shape.pick([1, 1, 3]),
      brokers: 3,
      clients: 2,
      chroot: shape.pick(["", "/kafka"]),
      memberSettings: [`tickTime=${tickMs}`, "maxSessionTimeout=20000", "initLimit=20", "syncLimit=4", "snapCount=200", "preAllocSize=64", "maxClientCnxns=0"],
      brokerSettings,
      racks,
    },
    world: {
      eventsMax: 4_000_000,
      clockSkewMsMax: unevenClocks ? 3_600_000 : 0,
      clockDriftPpmMax: unevenClocks ? 500 : 0,
      timerLateMsMax: machines.pick([0, 0, 20]),
      net: { latencyMs: machines.pick([[0.1, 1], [0.1, 1], [0.5, 10]] as const), resetsPerMillion: machines.pick([0, 0, 100]) },
      disk: { latencyMs: slowDisks ? [0.5, 15] : [0.02, 0.2], syncMs: machines.pick([[0.1, 2], [1, 15]] as const) },
    },
    unclean,
    retained,
    synced,
    producers: { window: shape.pick([1, 3, 5]), pauseMsMax: shape.pick([40, 120, 300]), valueBytesMax: 250, largeBytes: segmentBytes > 100_000 ? shape.pick([0, 70_000, 100_000]) : 0 },
    readers: { maxWaitMs: shape.pick([100, 500]), maxBytes: shape.pick([300, 10_000, 200_000]) },
    churnPauseMsMax: shape.pick([200, 2000]),
    kinds,
    plan: drawPlan(root.fork("plan"), { kinds, lengths: LENGTHS, targets: TARGETS, fromMs: FAULTS_FROM_MS, untilMs, pauseMsMax: trouble.pick([600, 1500, 4000]) }),
  };
}
