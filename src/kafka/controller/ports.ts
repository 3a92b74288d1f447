import type { Decoded, Input } from "../../codec/schema.ts";
import type { Api } from "../protocol/api.ts";
import type { ZkReply, ZkRequest } from "../znodes/requests.ts";
import type { LiveBroker } from "./context.ts";

export interface WatchEvent {
  readonly kind: "created" | "deleted" | "dataChanged" | "childrenChanged";
  readonly path: string;
}

export interface ZooKeeperListener {
  /**
   * A watch that a request with `watch` has left fires once. Events come in order with replies: before the reply to
   * any later request. Watches outlive a reconnect, not a session.
   */
  watch(event: WatchEvent): void;
  /** Nothing of the session is left. Called before any request can reach a next session. */
  sessionExpired(): void;
  sessionStarted(sessionId: bigint): void;
}

/** One ZooKeeper session after another. */
export interface ZooKeeperPort {
  /** 0 where there is none. */
  readonly sessionId: bigint;
  /**
   * Sends the requests in order and resolves with one reply for each. Those whose reply was lost with a connection
   * are sent again in the same session, in order, so that a create may meet its own znode and a versioned write its
   * own new version. Rejects only where the session has ended or the client is closed.
   */
  request(batch: readonly ZkRequest[]): Promise<readonly ZkReply[]>;
  /** Returns what ends it. */
  listen(listener: ZooKeeperListener): () => void;
}

/** A way to one broker's inter-broker listener, connected when it is first needed and again after a failure. */
export interface BrokerLink {
  /** At most one at a time is under way. Rejects with an operational error where the broker can't be reached or does not answer. */
  send<A extends Api>(api: A, version: number, request: Input<A["request"]>): Promise<Decoded<A["response"]>>;
  /** What is under way rejects. */
  close(): void;
}

export interface BrokerLinks {
  open(broker: LiveBroker): BrokerLink;
}
