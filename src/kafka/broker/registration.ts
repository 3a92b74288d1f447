import { OperationalError } from "../../lib/error.ts";
import { decodeBrokerRegistration, type BrokerRegistration } from "../znodes/broker.ts";
import { paths } from "../znodes/paths.ts";
import { ask, getData, listChildren, ZkCode, type Step } from "../znodes/requests.ts";

/**
 * Throws ERR_ENDPOINT_IN_USE where another broker has registered one of these endpoints.
 * Source: KafkaServer.checkBrokerEndPoints (2.7.1: createBrokerInfo).
 */
export function* refuseSharedEndpoints(registration: BrokerRegistration): Step<void> {
  const mine = new Set(registration.endpoints.map((endpoint) => `${endpoint.host}:${endpoint.port}`));
  const others = (yield* listChildren(paths.brokerIds)).map(Number).filter((id) => id !== registration.id);
  const replies = yield* ask(others.map((id) => getData(paths.broker(id))));
  for (const [index, reply] of replies.entries()) {
    if (reply.code !== ZkCode.OK) continue;
    const other = decodeBrokerRegistration(others[index] ?? -1, reply.data);
    const taken = other.endpoints.find((endpoint) => mine.has(`${endpoint.host}:${endpoint.port}`));
    if (taken === undefined) continue;
    throw new OperationalError(
      "ERR_ENDPOINT_IN_USE",
      `broker ${other.id} has registered ${taken.host}:${taken.port} already: give broker ${registration.id} other listeners, or other advertised.listeners`,
    );
  }
}
