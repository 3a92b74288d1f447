import type { Controller } from "../../controller/controller.ts";
import { route, type Route } from "../../network/request.ts";
import { ErrorCode } from "../../protocol/error-codes.ts";
import { alterIsr } from "../../protocol/messages/alter-isr.ts";
import { controlledShutdown } from "../../protocol/messages/controlled-shutdown.ts";

/**
 * What brokers ask of the controller, in Kafka 2.7.1's versions: AlterIsr 0, and ControlledShutdown 0 to 3, served
 * from the version that inter.broker.protocol.version 2.7 uses: 3. A broker whose controller has not been started yet
 * answers as one that is not the controller.
 * Source: KafkaApis.handleAlterIsrRequest, handleControlledShutdownRequest.
 */
export function controllerRoutes(controller: () => Pick<Controller, "alterIsr" | "controlledShutdown"> | undefined): Route[] {
  return [
    route(alterIsr, (request) => controller()?.alterIsr(request) ?? { errorCode: ErrorCode.NOT_CONTROLLER, topics: [] }),
    route(controlledShutdown, (request) => controller()?.controlledShutdown(request) ?? { errorCode: ErrorCode.STALE_CONTROLLER_EPOCH, remainingPartitions: [] }, { firstVersion: 3 }),
  ];
}
