import { scalar, type FieldOptions } from "../../codec/notation.ts";
import type { Field } from "../../codec/model.ts";
import type { Brand } from "../../lib/brand.ts";

/** A broker's number; -1 where there is none. */
export type BrokerId = Brand<number, "BrokerId">;
/** Counts the leaders of a partition; -1 where it is not known. */
export type LeaderEpoch = Brand<number, "LeaderEpoch">;
/** A record's place in a partition; -1 where there is none. */
export type Offset = Brand<number, "Offset">;

export const toBrokerId = (value: number): BrokerId => value as BrokerId;
export const toLeaderEpoch = (value: number): LeaderEpoch => value as LeaderEpoch;
export const toOffset = (value: number): Offset => value as Offset;

/** A field that decodes to a branded id and takes any number when written. */
function id<T extends number>(kind: "int32" | "int64") {
  const plain = scalar<number>(kind);
  return <const O extends FieldOptions<number>>(versions: string, options?: O) =>
    plain(versions, options) as Field<T, number, O extends { readonly default: unknown } ? true : O extends { readonly tag: number } ? true : false>;
}

export const brokerId = id<BrokerId>("int32");
export const leaderEpoch = id<LeaderEpoch>("int32");
export const offset = id<Offset>("int64");
