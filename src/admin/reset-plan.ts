import { assertNever } from "../lib/assert.ts";

/** How a group's offsets are set anew (KIP-122). Times are milliseconds since the epoch. */
export type ResetScenario =
  | { readonly kind: "to-offset"; readonly offset: number }
  | { readonly kind: "shift-by"; readonly by: number }
  | { readonly kind: "to-time"; readonly time: number }
  | { readonly kind: "to-earliest" | "to-latest" | "to-current" }
  /** By partition's name, `topic-0`. */
  | { readonly kind: "planned"; readonly offsets: ReadonlyMap<string, number> };

/** What is known of a partition that is to be reset. */
export interface ResetFacts {
  readonly topic: string;
  readonly partition: number;
  readonly start: number;
  readonly end: number;
  /** Undefined: nothing is committed. */
  readonly committed?: number | undefined;
  /** Of the first record at the scenario's time or after it; undefined: there is none. */
  readonly atTime?: number | undefined;
}

export interface ResetRow {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

export interface ResetWarning extends ResetRow {
  readonly kind: "above the end" | "below the start";
  /** What was asked for; `offset` is what it becomes. */
  readonly wanted: number;
}

export interface ResetPlan {
  readonly rows: readonly ResetRow[];
  readonly warnings: readonly ResetWarning[];
  /** Partitions that can't be shifted, since nothing is committed for them: the whole request is wrong then. */
  readonly uncommitted: readonly ResetFacts[];
}

/** Which facts a scenario looks at, beside the committed offsets. */
export function needsOf({ kind }: ResetScenario): { readonly start: boolean; readonly end: boolean; readonly time: boolean } {
  const clamped = kind === "to-offset" || kind === "shift-by" || kind === "planned";
  return { start: clamped || kind === "to-earliest", end: kind !== "to-earliest", time: kind === "to-time" };
}

/** Source: core/…/admin/ConsumerGroupCommand.scala, prepareOffsetsToReset, checkOffsetsRange. */
export function planReset(scenario: ResetScenario, partitions: readonly ResetFacts[]): ResetPlan {
  const rows: ResetRow[] = [];
  const warnings: ResetWarning[] = [];
  const uncommitted: ResetFacts[] = [];
  for (const facts of partitions) {
    const wanted = wantedOffset(scenario, facts);
    if (wanted === "uncommitted") {
      uncommitted.push(facts);
      continue;
    }
    if (wanted === undefined) continue;
    const { topic, partition, start, end } = facts;
    const row = { topic, partition, offset: wanted.clamped ? Math.max(start, Math.min(end, wanted.offset)) : wanted.offset };
    if (row.offset !== wanted.offset) warnings.push({ ...row, kind: wanted.offset > end ? "above the end" : "below the start", wanted: wanted.offset });
    rows.push(row);
  }
  return { rows, warnings, uncommitted };
}

/** Undefined: not part of the plan. */
function wantedOffset(scenario: ResetScenario, { topic, partition, start, end, committed, atTime }: ResetFacts): { readonly offset: number; readonly clamped: boolean } | "uncommitted" | undefined {
  switch (scenario.kind) {
    case "to-offset":
      return { offset: scenario.offset, clamped: true };
    case "shift-by":
      return committed === undefined ? "uncommitted" : { offset: committed + scenario.by, clamped: true };
    case "to-time":
      return { offset: atTime ?? end, clamped: false };
    case "to-earliest":
      return { offset: start, clamped: false };
    case "to-latest":
      return { offset: end, clamped: false };
    case "to-current":
      return { offset: committed ?? end, clamped: false };
    case "planned": {
      const offset = scenario.offsets.get(`${topic}-${partition}`);
      return offset === undefined ? undefined : { offset, clamped: true };
    }
    default:
      return assertNever(scenario);
  }
}

/** As Apache's tool warns. */
export function warningText({ kind, topic, partition, wanted, offset }: ResetWarning): string {
  const side = kind === "above the end" ? "higher than latest" : "lower than earliest";
  return `New offset (${wanted}) is ${side} offset for topic partition ${topic}-${partition}. Value will be set to ${offset}`;
}
