import { OperationalError } from "../../lib/error.ts";
import type { Host } from "../../host/host.ts";
import type { Logger } from "../../host/log.ts";
import { firstFailure, type ZooKeeperClient } from "../../zookeeper/client/client.ts";
import { createOp, deleteOp, setDataOp } from "../../zookeeper/client/operations.ts";
import { ErrorCode } from "../../zookeeper/protocol/errors.ts";
import { CreateFlag, OpCode } from "../../zookeeper/protocol/op-codes.ts";
import { decodeBrokerRegistration, encodeBrokerRegistration, type BrokerRegistration } from "../znodes/broker.ts";
import { paths } from "../znodes/paths.ts";
import { expectOk, zookeeperFailure } from "./cluster-znodes.ts";

/**
 * Makes /brokers/ids/<id>, an ephemeral node of this session, and returns the broker's epoch: the node's czxid. A node
 * that one of this broker's own earlier sessions left is replaced. Source: KafkaZkClient.registerBroker and
 * CheckedEphemeral; the node is first made without data and then written, so that its version is 1 as Kafka's is.
 */
export async function registerBroker(options: {
  readonly host: Host;
  readonly log: Logger;
  readonly zookeeper: ZooKeeperClient;
  readonly registration: BrokerRegistration;
  /** Sessions that this broker held before: it may replace what they own. */
  readonly isOwnSession: (session: bigint) => boolean;
}): Promise<number> {
  const { zookeeper, registration } = options;
  await refuseSharedEndpoint(zookeeper, registration);
  const path = paths.broker(registration.id);
  const data = encodeBrokerRegistration(registration, options.host.clock.wallMs());
  for (;;) {
    const outcome = await zookeeper.multi([createOp(path, null, CreateFlag.ephemeral), setDataOp(path, data, 0)]);
    if (!outcome.ok) throw zookeeperFailure(`registering broker ${registration.id}`, outcome.code);
    const failure = firstFailure(outcome.value);
    const written = outcome.value[1];
    if (failure === undefined && written?.type === OpCode.setData) return written.record.stat.czxid;
    if (failure === undefined || failure.code !== ErrorCode.nodeExists) throw zookeeperFailure(`registering broker ${registration.id}`, failure?.code ?? ErrorCode.systemError);

    const existing = await zookeeper.exists(path);
    if (!existing.ok) continue;
    const { ephemeralOwner, czxid, version } = existing.value;
    // The create went through, and only its answer was lost with the connection.
    if (ephemeralOwner === zookeeper.session?.id) return czxid;
    if (!options.isOwnSession(ephemeralOwner)) {
      throw new OperationalError("ERR_BROKER_ID_IN_USE", `${path} exists and belongs to another process: broker.id=${registration.id} runs elsewhere, or ran a moment ago and its session has not expired yet`);
    }
    options.log.info(`replacing the registration that an earlier session of broker ${registration.id} left`);
    await zookeeper.multi([deleteOp(path, version)]);
  }
}

async function refuseSharedEndpoint(zookeeper: ZooKeeperClient, registration: BrokerRegistration): Promise<void> {
  const { children } = expectOk(await zookeeper.getChildren(paths.brokerIds), "listing the brokers");
  const mine = new Set(registration.endpoints.map((endpoint) => `${endpoint.host}:${endpoint.port}`));
  for (const child of children) {
    const id = Number(child);
    if (id === registration.id) continue;
    const node = await zookeeper.getData(paths.broker(id));
    if (!node.ok) continue;
    const taken = decodeBrokerRegistration(id, node.value.data).endpoints.find((endpoint) => mine.has(`${endpoint.host}:${endpoint.port}`));
    if (taken !== undefined) {
      throw new OperationalError("ERR_ENDPOINT_IN_USE", `broker ${id} has registered ${taken.host}:${taken.port} already: give broker ${registration.id} listeners (or advertised.listeners) of its own`);
    }
  }
}
