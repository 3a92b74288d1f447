import { Violation } from "../zookeeper/violation.ts";
import { IdempotentProducer, type PlainProducer } from "./producers.ts";
import type { PartitionReader } from "./reader.ts";

/** What there is of one partition in the end, by offset, from its start on. */
export interface FinalLog {
  readonly topic: string;
  readonly partition: number;
  readonly name: string;
  readonly startOffset: number;
  readonly endOffset: number;
  readonly records: ReadonlyMap<number, string>;
}

export interface Promises {
  /** Records that were acknowledged may be missing: another than the in-sync replicas has led, or segments have gone. */
  readonly unclean: boolean;
  readonly retained: boolean;
}

/** Holds a log against those who wrote it: what was acknowledged is there, once and in its order, and nothing that nobody wrote. */
export function checkWritten(log: FinalLog, producers: readonly (IdempotentProducer | PlainProducer)[], { unclean, retained }: Promises): void {
  for (let offset = log.startOffset; offset < log.endOffset; offset++) {
    if (!log.records.has(offset)) throw new Violation("no offset is left out", `${log.name} holds ${log.startOffset} to ${log.endOffset}, and nothing at ${offset}`);
  }
  const written = new Map<string, number[]>(producers.map(({ options }) => [options.name, []]));
  const places = new Map<string, number>();
  const repeated = new Set(producers.flatMap((producer) => (producer instanceof IdempotentProducer ? [...producer.repeated].map((index) => `${producer.options.name}:${index}`) : [])));
  for (const [offset, value] of log.records) {
    const [producer = "", index = ""] = value.split(":");
    const indexes = written.get(producer);
    if (indexes === undefined) throw new Violation("nothing comes from nowhere", `${log.name} holds ${value} at ${offset}`);
    if (places.has(value) && !repeated.has(value)) throw new Violation("nothing is doubled", `${log.name} holds ${value} at ${places.get(value)} and ${offset}`);
    places.set(value, offset);
    indexes.push(Number(index));
  }
  for (const producer of producers) {
    const { name } = producer.options;
    const indexes = written.get(name) ?? [];
    // Without sequence numbers, what nobody waits for any more may overtake, or be overtaken.
    const counts = (index: number): boolean => (producer instanceof IdempotentProducer ? !producer.repeated.has(index) : producer.acknowledged.has(index));
    const once = indexes.filter((index) => counts(index));
    const late = once.findIndex((index, at) => at > 0 && index <= (once[at - 1] ?? -1));
    if (late >= 0 && !unclean) throw new Violation("records keep their order", `${log.name} holds ${name}:${once[late]} after ${name}:${once[late - 1]}`);
    if (producer instanceof IdempotentProducer && !unclean) checkComplete(log, producer, indexes, places, retained);
  }
}

/** Everything that an idempotent producer has made was acknowledged before the end. */
function checkComplete(log: FinalLog, producer: IdempotentProducer, indexes: readonly number[], places: ReadonlyMap<string, number>, retained: boolean): void {
  const { name } = producer.options;
  if (producer.acknowledged.size !== producer.created) throw new Violation("everything is acknowledged in the end", `${producer.created - producer.acknowledged.size} records of ${name} are not`);
  const first = retained ? (indexes[0] ?? producer.created) : 0;
  for (let index = first; index < producer.created; index++) {
    const place = places.get(`${name}:${index}`);
    if (place === undefined) throw new Violation("what is acknowledged stays", `${name}:${index} was acknowledged at offset ${producer.acknowledged.get(index)}, and ${log.name} does not hold it`);
    const told = producer.acknowledged.get(index) ?? -1;
    if (told >= 0 && told !== place && !producer.repeated.has(index)) throw new Violation("an acknowledgement tells the offset", `${name}:${index} was acknowledged at ${told}, and ${log.name} holds it at ${place}`);
  }
}

/** Holds what was read against what there is: a part of it from the start on, or all. */
export function checkRead(log: FinalLog, reader: PartitionReader, { mayGo }: { readonly mayGo: boolean }): void {
  if (reader.position !== log.endOffset) throw new Violation("everything can be read", `${log.name} ends at ${log.endOffset}, and was read up to ${reader.position}`);
  if (mayGo) return;
  for (const [offset, value] of reader.seen) {
    if (offset < log.startOffset) continue;
    const now = log.records.get(offset);
    if (now !== value) throw new Violation("what was read stays", `${log.name} showed ${value} at ${offset}, and holds ${now ?? "nothing"} there`);
  }
}
