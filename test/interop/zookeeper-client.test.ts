import { describe } from "vitest";
import { hasDebianZooKeeper, startApacheZooKeeper } from "../support/apache-zookeeper.ts";
import { clientSuite } from "../support/zookeeper-client-suite.ts";

if (!hasDebianZooKeeper) console.warn("SKIPPED our ZooKeeper client on Apache ZooKeeper: no /usr/share/java/zookeeper.jar (apt-get install zookeeper)");

describe.runIf(hasDebianZooKeeper)("our client on Apache ZooKeeper", () => {
  clientSuite(() => startApacheZooKeeper());
});
