import { Prng } from "../../src/lib/prng.ts";
import { drawPlan } from "../trouble.ts";
import { draw, FAULTS_FROM_MS, type Draw } from "./draw.ts";
import { LENGTHS, type Target } from "./faults.ts";
import type { CrewOptions } from "./group-workload.ts";

/** What a seed stands for where groups are looked at. */
export interface GroupDraw extends Pick<Draw, "shape" | "world" | "synced" | "kinds" | "plan" | "producers"> {
  /** Partitions of the offsets topic. */
  readonly offsetsPartitions: number;
  readonly segmentBytes: number;
  readonly crews: readonly Omit<CrewOptions, "lasting">[];
  /** One whose group is deleted now and then. */
  readonly passingCrew: Omit<CrewOptions, "lasting">;
  readonly visitorPauseMsMax: number;
  readonly retentionMs: number;
  /** A replica that is away for a while never hears of what was deleted meanwhile. */
  readonly tombstonesGoSoon: boolean;
}

/** Longer than any run. */
const TOMBSTONES_STAY_MS = 86_400_000;

export const SHARED_TOPIC = "shared";
export const PASSING_TOPIC = "passing";

export const GROUP_TARGETS: readonly Target[] = ["any", "controller", "coordinator", "coordinator", "coordinator", "two", "all"];

export function drawGroups(seed: string): GroupDraw {
  const base = draw(seed);
  const root = new Prng(seed);
  const shape = root.fork("groups");
  const offsetsPartitions = shape.between(1, 4);
  const segmentBytes = shape.pick([4096, 16_384, 65_536]);
  const tombstoneMs = shape.pick([0, 1000, 5000, TOMBSTONES_STAY_MS, TOMBSTONES_STAY_MS]);
  const settings = [
    `offsets.topic.num.partitions=${offsetsPartitions}`,
    "offsets.topic.replication.factor=3",
    `offsets.topic.segment.bytes=${segmentBytes}`,
    `offsets.topic.compression.codec=${shape.between(0, 3)}`,
    `offsets.load.buffer.size=${shape.pick([1024, 16_384, 5_242_880])}`,
    `offsets.commit.timeout.ms=${shape.pick([500, 5000])}`,
    "offsets.retention.check.interval.ms=1000",
    `group.initial.rebalance.delay.ms=${shape.pick([0, 100, 500])}`,
    "group.min.session.timeout.ms=500",
    `min.insync.replicas=${shape.between(1, 2)}`,
    `log.cleaner.backoff.ms=${shape.pick([200, 700, 2000])}`,
    `log.cleaner.min.cleanable.ratio=${shape.pick([0.1, 0.5])}`,
    `log.cleaner.delete.retention.ms=${tombstoneMs}`,
    "log.cleaner.dedupe.buffer.size=2097152",
  ];
  const crew = (group: string, isStatic: boolean): Omit<CrewOptions, "lasting"> => ({
    group,
    members: shape.between(2, 4),
    topics: [SHARED_TOPIC],
    alsoTopics: [PASSING_TOPIC],
    isStatic,
    sessionTimeoutMs: shape.pick([800, 1500, 3000]),
    rebalanceTimeoutMs: shape.pick([1000, 2000, 3000]),
    commitEveryMs: shape.pick([60, 200, 500]),
    incidentMsMax: shape.pick([500, 1500, 4000]),
  });
  const crews = [crew("eager", false), crew("static", true)];
  if (shape.chance(1, 3)) crews.push(crew("third", shape.chance(1, 2)));
  const trouble = root.fork("groups' trouble");
  const untilMs = trouble.pick([9000, 11_000, 13_000]);
  return {
    shape: { ...base.shape, clients: 3, brokerSettings: [...base.shape.brokerSettings, ...settings] },
    world: base.world,
    producers: { window: 1, pauseMsMax: 400, valueBytesMax: 60, largeBytes: 0 },
    synced: base.synced,
    kinds: base.kinds,
    plan: drawPlan(root.fork("groups' plan"), { kinds: base.kinds, lengths: LENGTHS, fromMs: FAULTS_FROM_MS, untilMs, pauseMsMax: trouble.pick([800, 2000, 4000]), targets: GROUP_TARGETS }),
    offsetsPartitions,
    segmentBytes,
    crews,
    passingCrew: { ...crew("passing", false), members: 2, incidentMsMax: 1000 },
    visitorPauseMsMax: shape.pick([150, 600]),
    retentionMs: shape.pick([300, 2000]),
    tombstonesGoSoon: tombstoneMs < TOMBSTONES_STAY_MS,
  };
}
