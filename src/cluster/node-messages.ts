/** What a supervisor and the process of a node say to each other over the process's channel. */

export type NodeOrder =
  /** Without `handOver` the broker's partitions are not given to others: all brokers stop. */
  | { readonly kind: "stop broker"; readonly handOver: boolean }
  /** The process ends then. */
  | { readonly kind: "stop member" };

export type NodeReport =
  /** Its broker is registered and serves. */
  | { readonly kind: "serving" }
  | { readonly kind: "broker stopped" }
  /** Why the node did not start, in words for people. The process ends then. */
  | { readonly kind: "failed"; readonly message: string };
