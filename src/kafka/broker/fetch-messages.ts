import type { Clock, Timers } from "../../host/clock.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import { UNPACKED_BYTES_MAX } from "../records/compression.ts";
import { downConvert, needsDownConversion } from "../records/conversion.ts";
import type { LegacyMagic } from "../records/legacy.ts";
import { failedFetch, fetchFrom, isUrgent, readPartition, type Fetched, type FetchOptions, type FetchTarget } from "../replication/fetch.ts";
import type { Conversions } from "./conversions.ts";

export interface MessageTarget extends FetchTarget {
  /** message.downconversion.enable */
  readonly convertible: boolean;
}

export interface MessageOptions extends FetchOptions {
  /** The latest format that the consumer can read. */
  readonly magic: LegacyMagic;
}

export interface MessageServices {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly conversions: Conversions;
}

/** How often one partition is read on, where what was read holds nothing for this consumer. */
const READS_MAX = 16;

/**
 * As fetchFrom, for consumers that can't read v2 batches. Partitions are converted one after the other, each to at least
 * one message where there is one. Such consumers ask again for what they asked, so that what converts to nothing (control
 * batches, compacted ones) is passed over here, and where nothing lies behind it, they wait.
 * Source: KafkaApis.maybeConvertFetchedData; KIP-283.
 */
export async function fetchMessages(targets: readonly MessageTarget[], options: MessageOptions, services: MessageServices): Promise<readonly Fetched[]> {
  const { clock, timers } = services;
  const deadlineMs = clock.monotonicMs() + options.maxWaitMs;
  /** Behind what converts to nothing. */
  let ahead: readonly MessageTarget[] = targets;
  let results: readonly Fetched[] = [];
  for (;;) {
    const fetched = await fetchFrom(ahead, { ...options, maxWaitMs: deadlineMs - clock.monotonicMs() }, timers);
    const converted = await convertAll(targets, ahead, fetched, options, services);
    // What went wrong behind the offset that was asked for is no answer to the question.
    results = converted.map(({ result }, index) => (result.error !== ErrorCode.NONE && ahead[index]?.fetchOffset !== targets[index]?.fetchOffset ? (results[index] ?? result) : result));
    const moved = converted.some(({ nextOffset }, index) => nextOffset !== ahead[index]?.fetchOffset);
    if (!moved || results.some((result) => result.bytes > 0 || isUrgent(result)) || clock.monotonicMs() >= deadlineMs) return results;
    ahead = ahead.map((target, index) => ({ ...target, fetchOffset: converted[index]?.nextOffset ?? target.fetchOffset }));
  }
}

interface Converted {
  readonly result: Fetched;
  /** Behind what converted to nothing; else the offset that was read from. */
  readonly nextOffset: number;
}

async function convertAll(
  targets: readonly MessageTarget[],
  ahead: readonly MessageTarget[],
  fetched: readonly Fetched[],
  options: MessageOptions,
  services: MessageServices,
): Promise<Converted[]> {
  const all: Converted[] = [];
  let room = options.maxBytes;
  for (const [index, result] of fetched.entries()) {
    const [asked, from] = [targets[index], ahead[index]];
    if (asked === undefined || from === undefined) continue;
    const converted = await convert({ asked, from, result, bytesMax: Math.min(asked.maxBytes, room) }, options, services);
    room = Math.max(0, room - converted.result.bytes);
    all.push(converted);
  }
  return all;
}

interface ToConvert {
  readonly asked: MessageTarget;
  readonly from: MessageTarget;
  readonly result: Fetched;
  readonly bytesMax: number;
}

async function convert({ asked, from, result, bytesMax }: ToConvert, options: MessageOptions, { conversions }: MessageServices): Promise<Converted> {
  const { magic, bound, leaderOnly } = options;
  let { chunks } = result;
  let nextOffset = from.fetchOffset;
  if (!needsDownConversion(chunks, magic)) return { result, nextOffset };
  if (!from.convertible) return { result: failedFetch(ErrorCode.UNSUPPORTED_VERSION), nextOffset };
  for (let reads = 1; ; reads++) {
    const converted = await conversions.run(downConvert(chunks, { magic, fetchOffset: asked.fetchOffset, bytesMax, unpackedBytesMax: UNPACKED_BYTES_MAX }));
    if (converted.kind === "refused") return { result: failedFetch(converted.error), nextOffset };
    if (converted.bytes > 0) return { result: { ...result, chunks: converted.chunks, bytes: converted.bytes }, nextOffset };
    ({ nextOffset } = converted);
    const next = reads < READS_MAX ? await readPartition(from.partition, { ...from, fetchOffset: nextOffset }, { bound, leaderOnly, minOneMessage: true }) : undefined;
    if (next === undefined || next.bytes === 0) return { result: { ...result, chunks: [], bytes: 0 }, nextOffset };
    ({ chunks } = next);
  }
}
