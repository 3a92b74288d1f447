import { expect } from "vitest";
import { debianZooKeeperClassPath } from "./apache-zookeeper.ts";
import { run } from "./processes.ts";

const CONVERSATION: readonly (readonly [command: string, answer: string | RegExp])[] = [
  ["create /cli hello", "Created /cli"],
  ["create -s /cli/n- x", "Created /cli/n-0000000000"],
  ["create -e /cli/ephemeral x", "Created /cli/ephemeral"],
  ["create -c /cli/container", "Created /cli/container"],
  ["create -t 1000 /cli/ttl", "KeeperErrorCode = Unimplemented for /cli/ttl"],
  ["get -s /cli", /hello\n[^]*dataVersion = 0\n[^]*numChildren = 3/],
  ["ls -R /cli", "/cli\n/cli/container\n/cli/ephemeral\n/cli/n-0000000000\n"],
  ["getAllChildrenNumber /cli", "3\n"],
  ["getEphemerals /cli", "[/cli/ephemeral]"],
  ["set -v 7 /cli x", "version No is not valid : /cli"],
  ["addWatch /cli", ""],
  ["set /cli/n-0000000000 y", "NodeDataChanged path:/cli/n-0000000000"],
  ["removewatches /cli", "PersistentWatchRemoved path:/cli"],
  ["setAcl /cli world:anyone:r", ""],
  ["getAcl /cli", "'world,'anyone\n: r\n"],
  ["set /cli z", "Insufficient permission : /cli"],
  ["addauth digest ada:secret", ""],
  ["whoami", /ip: 127\.0\.0\.1\ndigest: ada\n/],
  ["setquota -n 5 /cli", ""],
  ["listquota /cli", "count=4,bytes=7"],
  ["sync /", "Sync is OK"],
  ["reconfig -remove 1", "Reconfig is disabled"],
  ["quit", ""],
];

/** Apache's command line of 3.8.0 in one session with servers at `host:port,…`, where there is no /cli yet. */
export async function converseWithZkCli(connect: string): Promise<void> {
  const commands = CONVERSATION.map(([command]) => `${command}\n`).join("");
  const { stdout, stderr } = await run("java", ["-cp", debianZooKeeperClassPath, "org.apache.zookeeper.ZooKeeperMain", "-server", connect], { input: commands });
  for (const [, answer] of CONVERSATION) expect(stdout + stderr).toMatch(answer);
}
