import { errorCode as codeOf } from "../../../lib/error.ts";
import { route, type Route } from "../../network/request.ts";
import { ErrorCode } from "../../protocol/error-codes.ts";
import { initProducerId } from "../../protocol/messages/init-producer-id.ts";
import type { ProducerIds } from "../producer-ids.ts";

/**
 * InitProducerId, 0 to 5, for idempotent producers: a new id with epoch 0, nothing kept.
 * Left out until there is a transaction coordinator: a transactional id is answered with COORDINATOR_NOT_AVAILABLE.
 * Source: TransactionCoordinator.handleInitProducerId.
 */
export function initProducerIdRoute(producerIds: ProducerIds): Route {
  const failed = (errorCode: number) => ({ errorCode, producerId: -1, producerEpoch: -1 });
  return route(initProducerId, async (request) => {
    if (request.transactionalId === "") return failed(ErrorCode.INVALID_REQUEST);
    if ((request.producerId === -1) !== (request.producerEpoch === -1)) return failed(ErrorCode.INVALID_REQUEST);
    if (request.transactionalId !== null) return failed(ErrorCode.COORDINATOR_NOT_AVAILABLE);
    try {
      return { errorCode: ErrorCode.NONE, producerId: await producerIds.next(), producerEpoch: 0 };
    } catch (error) {
      // Without ZooKeeper there are no new ids; the client tries again.
      if (codeOf(error)?.startsWith("ERR_ZOOKEEPER") === true) return failed(ErrorCode.COORDINATOR_NOT_AVAILABLE);
      throw error;
    }
  });
}
