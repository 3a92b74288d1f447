import { describe } from "vitest";
import { clientSuite } from "../support/zookeeper-client-suite.ts";
import { startOurZooKeeper } from "../support/zookeeper-member.ts";

describe("our client on our ZooKeeper member", () => {
  clientSuite(() => startOurZooKeeper());
});
