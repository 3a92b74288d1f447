import type { Endpoint } from "../../kafka/client/kafka-client.ts";
import { decodeBrokerRegistration } from "../../kafka/znodes/broker.ts";
import { paths } from "../../kafka/znodes/paths.ts";
import { OperationalError } from "../../lib/error.ts";
import { ZooKeeperClient } from "../../zookeeper/client/client.ts";
import { parseConnectString } from "../../zookeeper/client/connect-string.ts";
import { ErrorCode } from "../../zookeeper/protocol/errors.ts";
import type { AdminIo } from "../admin-session.ts";
import { endpointText } from "../bootstrap.ts";
import { usage } from "./script.ts";

/** As kafka-topics.sh and kafka-configs.sh of 2.7.1 have it. */
const SESSION_TIMEOUT_MS = 30_000;

/**
 * The brokers that have registered under the path of `connect` (`host:port,…/chroot`), at their plain listeners. Throws
 * ERR_USAGE for a connect string that can't be read, ERR_UNREACHABLE where no member answers within `forMs`, and
 * ERR_NO_BROKERS. Source of the path: ZkData.scala, BrokerIdsZNode.
 */
export async function brokersInZooKeeper(connect: string, forMs: number, { host, err }: AdminIo): Promise<Endpoint[]> {
  checkConnect(connect);
  const client = new ZooKeeperClient(host, { connect, sessionTimeoutMs: SESSION_TIMEOUT_MS });
  const limit = host.timers.after(forMs, () => void client.abandon());
  try {
    client.start();
    if (!(await client.whenConnected())) throw unreachable(connect, forMs);
    const brokers = await registered(client, connect);
    err(`--zookeeper only tells where the brokers are: they are asked, as with --bootstrap-server ${brokers.map(endpointText).join(",")}`);
    return brokers;
  } finally {
    limit.cancel();
    await client.close();
  }
}

function checkConnect(connect: string): void {
  try {
    parseConnectString(connect);
  } catch (error) {
    throw error instanceof OperationalError ? usage(`--zookeeper: ${error.message}`) : error;
  }
}

function unreachable(connect: string, forMs: number): OperationalError {
  return new OperationalError("ERR_UNREACHABLE", `no ZooKeeper member answers at ${connect} within ${forMs / 1000} s`);
}

async function registered(client: ZooKeeperClient, connect: string): Promise<Endpoint[]> {
  const listed = await client.getChildren(paths.brokerIds);
  if (!listed.ok && listed.code !== ErrorCode.noNode) throw new OperationalError("ERR_ZOOKEEPER", `${paths.brokerIds} can't be read at ${connect}: error ${listed.code} of ZooKeeper's`);
  const ids = (listed.ok ? listed.value.children : []).map(Number).toSorted((a, b) => a - b);
  const found = await Promise.all(ids.map((id) => client.getData(paths.broker(id)).then((node) => (node.ok ? decodeBrokerRegistration(id, node.value.data).endpoints : []))));
  const brokers = found.flatMap((endpoints) => endpoints.filter(({ securityProtocol }) => securityProtocol === "PLAINTEXT").slice(0, 1)).map(({ host, port }) => ({ host, port }));
  if (brokers.length === 0) throw new OperationalError("ERR_NO_BROKERS", `no broker with a PLAINTEXT listener has registered in ${paths.brokerIds} at ${connect}: name brokers with --bootstrap-server, or the path below which their zookeeper.connect puts them`);
  return brokers;
}
