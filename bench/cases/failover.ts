import { realHost } from "../../src/host/real/host.ts";
import { ZooKeeperClient } from "../../src/zookeeper/client/client.ts";
import { eventually } from "../../test/support/processes.ts";
import type { Case, Measured } from "../case.ts";
import type { Contestant } from "../contestants/contestant.ts";
import { scaled } from "../scale.ts";
import { createTopic, deleteTopic } from "../topics.ts";

const PARTITIONS = 3000;
const TOPIC = "failover";
const WITHIN_MS = 180_000;

const host = realHost({ logLevel: "silent" });

/**
 * The controller's broker is killed with -9 and started again. How long its session lives on is a setting, the same on
 * both sides, so the failover counts from its end.
 */
export const failoverCase: Case = {
  id: "failover-3000",
  title: "3,000 partitions, three replicas each, the controller's broker killed with -9",
  topology: "apart",
  core: false,
  rounds: 3,
  warmups: 1,
  figures: [
    { key: "failover", title: "from the end of its session until every partition has a leader", unit: "s", better: "less", reach: 0.5 },
    { key: "fromKill", title: "from the kill until then, 6 s of session included", unit: "s", better: "less" },
    { key: "restart", title: "from its start until all replicas are in sync", unit: "s", better: "less", reach: 0.5 },
  ],
  prepare: (contestant) => createTopic(contestant, TOPIC, scaled(PARTITIONS)),
  clean: (contestant) => deleteTopic(contestant, TOPIC),
  run: async (contestant): Promise<Measured> => {
    const { controllerId } = await contestant.admin.cluster();
    if (controllerId < 1) throw new Error(`${contestant.name} has no controller`);
    const zookeeper = new ZooKeeperClient(host, { connect: contestant.members.join(","), sessionTimeoutMs: 10_000 });
    zookeeper.start();
    await zookeeper.whenConnected();
    const process = contestant.brokerProcess(controllerId);
    let failover: number;
    let fromKill: number;
    try {
      const killed = performance.now();
      await contestant.killNode(process);
      await until(`the registration of broker ${controllerId} is gone`, async () => !(await zookeeper.exists(`/brokers/ids/${controllerId}`)).ok);
      const expired = performance.now();
      await until("every partition has a leader that runs", () => all(contestant, ({ leader }) => leader >= 1 && leader !== controllerId));
      failover = (performance.now() - expired) / 1000;
      fromKill = (performance.now() - killed) / 1000;
    } finally {
      await zookeeper.close();
    }
    const began = performance.now();
    contestant.startNode(process);
    await until("all replicas are in sync", () => all(contestant, ({ isr, replicas }) => isr.length === replicas.length));
    return { failover, fromKill, restart: (performance.now() - began) / 1000 };
  },
};

async function all(contestant: Contestant, holds: (partition: { readonly leader: number; readonly isr: readonly number[]; readonly replicas: readonly number[] }) => boolean): Promise<boolean> {
  // Whom the client asks may be the one that is down: then it is asked again.
  const topics = await contestant.admin.topics({ internal: false }).catch(() => []);
  return topics.find(({ name }) => name === TOPIC)?.partitions.every(holds) ?? false;
}

async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  await eventually(what, condition, WITHIN_MS);
}
