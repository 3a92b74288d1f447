/** A broken invariant. Nobody catches it: it reaches `Host.fail` and stops the node before it writes something wrong. */
export class AssertionFailure extends Error {
  override readonly name = "AssertionFailure";
}

export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionFailure(message);
}

/** Ends a switch over a discriminated union. */
export function assertNever(value: never): never {
  throw new AssertionFailure(`unexpected ${JSON.stringify(value)}`);
}

/** The value, where its absence would be a broken invariant. */
export function must<T>(value: T | undefined | null, what: string): T {
  if (value === undefined || value === null) throw new AssertionFailure(`missing ${what}`);
  return value;
}
