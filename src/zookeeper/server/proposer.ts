import type { Clock } from "../../host/clock.ts";
import { zxid, type Zxid } from "../protocol/ids.ts";
import { OpCode } from "../protocol/op-codes.ts";
import type { ReconfigRequest } from "../protocol/records.ts";
import type { Transaction } from "../protocol/transactions.ts";
import type { ErrorCode } from "../protocol/errors.ts";
import type { AclPolicy } from "../tree/acl.ts";
import { prepareRequest, type WriteRequest } from "../tree/operations.ts";
import type { Origin, PrepareEnvironment, SessionAuthority } from "../tree/prepare.ts";
import { PreparedState } from "../tree/prepared.ts";
import type { DataTree } from "../tree/tree.ts";
import type { SessionTracker } from "./session-tracker.ts";

export interface ProposerOptions {
  readonly clock: Clock;
  readonly tree: DataTree;
  /** The first transaction is the next one. */
  readonly lastZxid: Zxid;
  readonly policy: AclPolicy;
  readonly tracker: SessionTracker;
  reconfigure(request: ReconfigRequest, origin: Origin, zxid: Zxid): Buffer | ErrorCode;
}

/**
 * What a leader and a standalone member share: each write becomes a transaction with the next zxid, checked against
 * all that was proposed before it, and the tracker follows the sessions that come and go with the transactions.
 * Sources: PrepRequestProcessor, ZooKeeperServer.processTxn.
 */
export class Proposer {
  readonly #clock: Clock;
  readonly #tracker: SessionTracker;
  readonly #environment: PrepareEnvironment;
  #lastZxid: Zxid;

  constructor(options: ProposerOptions) {
    const { clock, tree, tracker } = options;
    this.#clock = clock;
    this.#tracker = tracker;
    this.#lastZxid = options.lastZxid;
    const check: SessionAuthority["check"] = (session, owner) => tracker.check(session, owner);
    this.#environment = {
      state: new PreparedState(tree),
      policy: options.policy,
      owners: tree.options,
      reconfigure: (request, origin, id) => options.reconfigure(request, origin, id),
      sessions: {
        check,
        checkGlobal: check,
        opening: (session, timeoutMs, owner) => {
          tracker.add(session, timeoutMs, clock.monotonicMs());
          tracker.setOwner(session, owner);
        },
        closing: (session) => tracker.close(session),
      },
    };
  }

  /** Of the transaction proposed last. */
  get lastZxid(): Zxid {
    return this.#lastZxid;
  }

  propose(request: WriteRequest): Transaction {
    this.#lastZxid = zxid(this.#lastZxid + 1);
    return prepareRequest(this.#environment, request, this.#lastZxid, this.#clock.wallMs());
  }

  /** The transaction is in the tree. */
  applied({ header, body }: Transaction): void {
    this.#environment.state.applied(header.zxid);
    if (body.type === OpCode.createSession) this.#tracker.add(header.clientId, body.record.timeOut, this.#clock.monotonicMs());
    else if (body.type === OpCode.closeSession) this.#tracker.remove(header.clientId);
  }
}
