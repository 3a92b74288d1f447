/**
 * Bit fields of what the caller may do, bit i standing for operation i of AclOperation. Without an authorizer
 * everybody may do everything. Source: AclEntry.supportedOperations.
 */
const Operation = { read: 3, write: 4, create: 5, delete: 6, alter: 7, describe: 8, clusterAction: 9, describeConfigs: 10, alterConfigs: 11, idempotentWrite: 12 } as const;

function bits(...operations: readonly number[]): number {
  return operations.reduce((field, operation) => field | (1 << operation), 0);
}

export const NOT_REQUESTED = -2147483648;

export const topicOperations = bits(
  Operation.read,
  Operation.write,
  Operation.create,
  Operation.describe,
  Operation.delete,
  Operation.alter,
  Operation.describeConfigs,
  Operation.alterConfigs,
);

export const groupOperations = bits(Operation.read, Operation.describe, Operation.delete);

export const clusterOperations = bits(
  Operation.create,
  Operation.clusterAction,
  Operation.describeConfigs,
  Operation.alterConfigs,
  Operation.idempotentWrite,
  Operation.alter,
  Operation.describe,
);
