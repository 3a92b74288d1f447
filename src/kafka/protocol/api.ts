import type { Fields } from "../../codec/model.ts";
import type { Schema } from "../../codec/schema.ts";

/** A request and its response under one API key; both have the same versions. */
export interface Api<Q extends Fields = Fields, S extends Fields = Fields> {
  readonly key: number;
  readonly name: string;
  readonly request: Schema<Q>;
  readonly response: Schema<S>;
}

export function api<Q extends Fields, S extends Fields>(declared: Api<Q, S>): Api<Q, S> {
  return declared;
}
