import { expect, test } from "vitest";
import { GroupCore } from "./group-core.ts";
import type { LoadedGroup } from "./types.ts";

const now = { ms: 0, wallMs: 0 };
const nothing: readonly LoadedGroup[] = [];


test("a load that an older epoch asked for changes nothing", () => {
  const core = new GroupCore({ partitionCount: 1, rules: { minSessionTimeoutMs: 6000, maxSessionTimeoutMs: 1_800_000, initialRebalanceDelayMs: 0, maxSize: 10, offsetMetadataCharsMax: 4096, offsetsRetentionMs: 1000 } });
  core.loading(0, 1);
  core.newEpoch(0, 2);
  core.loaded(0, 1, nothing, now);
  expect(core.ownedPartitions).toEqual([]);
  core.loaded(0, 2, nothing, now);
  expect(core.ownedPartitions).toEqual([0]);
});
