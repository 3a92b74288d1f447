import { describe, expect, test } from "vitest";
import { ConfigError } from "../../lib/config/read.ts";
import { parseProperties } from "../../lib/properties.ts";
import { formatEnsemble, isQuorum, parseMember, readEnsemble } from "./ensemble.ts";
import { readMemberConfig, type MemberReading } from "./member-config.ts";

/** The ZooKeeper file of the cluster guide, with its own addresses. */
const guide = `# the directory where the snapshot is stored.
dataDir=/opt/kafka/zookeeper
dataLogDir=/opt/kafka/log/zookeeper
# the port at which the clients will connect
clientPort=2181
# disable the per-ip limit on the number of connections since this is a non-production config
maxClientCnxns=0
# Disable the adminserver by default to avoid port conflicts.
admin.enableServer=false
# admin.serverPort=8080
tickTime=2000
initLimit=10
syncLimit=5

server.1=172.31.57.62:2888:3888
server.2=172.31.57.63:2888:3888
server.3=172.31.57.64:2888:3888
`;

function read(text: string, myId?: string, dynamic?: string): MemberReading {
  return readMemberConfig({
    main: parseProperties(text, "zoo.cfg"),
    origin: "zoo.cfg",
    myId,
    dynamic: dynamic === undefined ? undefined : { lines: parseProperties(dynamic, "zoo.cfg.dynamic"), version: 0x1_0000_0000 },
  });
}

function problems(text: string, myId?: string, dynamic?: string): string[] {
  try {
    read(text, myId, dynamic);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map((problem) => problem.message);
  }
}

describe("the guide's zookeeper.properties", () => {
  test("is read as it stands, with every key honoured and no warning", () => {
    const { config, warnings } = read(guide, "2\n");
    expect(warnings).toEqual([]);
    expect(config).toMatchObject({
      mode: "quorum",
      myId: 2,
      role: "participant",
      self: { id: 2, host: "172.31.57.63", quorumPort: 2888, electionPort: 3888 },
      dataDir: "/opt/kafka/zookeeper",
      dataLogDir: "/opt/kafka/log/zookeeper",
      clientAddress: { host: "0.0.0.0", port: 2181 },
      maxClientCnxns: 0,
      adminEnableServer: false,
      tickTime: 2000,
      initLimit: 10,
      syncLimit: 5,
      minSessionTimeout: 4000,
      maxSessionTimeout: 40_000,
    });
    expect(formatEnsemble(config.ensemble)).toBe(
      "server.1=172.31.57.62:2888:3888:participant\nserver.2=172.31.57.63:2888:3888:participant\nserver.3=172.31.57.64:2888:3888:participant\nversion=0",
    );
  });

  test("needs a myid that names one of its members", () => {
    expect(problems(guide)).toEqual([
      "zoo.cfg:2: dataDir=/opt/kafka/zookeeper: /opt/kafka/zookeeper/myid is missing: it holds this member's number, the N of its server.N line",
    ]);
    expect(problems(guide, "4")).toEqual(["zoo.cfg:2: dataDir=/opt/kafka/zookeeper: /opt/kafka/zookeeper/myid holds 4, but there is no server.4: the members are 1, 2, 3"]);
    expect(problems(guide, "one")[0]).toContain('/opt/kafka/zookeeper/myid holds "one", expected this member\'s number');
  });
});

describe("standing alone or not", () => {
  test("no server line, or a single one, makes a member that stands alone and needs no myid", () => {
    expect(read("dataDir=/d\nclientPort=1").config).toMatchObject({ mode: "standalone", myId: undefined, self: undefined, role: "participant", dataLogDir: "/d" });
    const single = read("dataDir=/d\nserver.1=a:1:2");
    expect(single.config.mode).toBe("standalone");
    expect(single.warnings).toEqual(["zoo.cfg: a single server line: this member stands alone, as without it (standaloneEnabled)"]);
  });

  test("standaloneEnabled=false makes an ensemble of one", () => {
    const text = "dataDir=/d\nstandaloneEnabled=False\ninitLimit=1\nsyncLimit=1\n";
    expect(read(`${text}server.1=a:1:2`, "1").config).toMatchObject({ mode: "quorum", myId: 1, self: { id: 1 } });
    expect(problems(text, "1")).toContain("zoo.cfg:2: standaloneEnabled=False: at least one server line of a participant is needed");
  });

  test("observers need participants to follow", () => {
    expect(problems("dataDir=/d\nserver.1=a:1:2:observer")[0]).toBe("zoo.cfg: observers need an ensemble to follow, but there is no participant");
    expect(problems("dataDir=/d\nserver.1=a:1:2:observer\nserver.2=b:1:2")[0]).toContain("one participant alone is standalone");
  });

  test("an ensemble needs both limits and at best an odd number of voters", () => {
    const two = "dataDir=/d\nserver.1=a:1:2\nserver.2=b:1:2\n";
    expect(problems(two, "1")).toEqual(["zoo.cfg: initLimit: an ensemble needs it, such as 10", "zoo.cfg: syncLimit: an ensemble needs it, such as 5"]);
    const limits = "initLimit=1\nsyncLimit=1\n";
    expect(read(two + limits, "1").warnings).toEqual(["zoo.cfg: 2 voting members tolerate no failure: 3 are needed for that"]);
    expect(read(`${two + limits}server.3=c:1:2\nserver.4=d:1:2`, "1").warnings).toEqual(["zoo.cfg: 4 voting members tolerate no more failures than 3"]);
  });

  test("the server line decides the role", () => {
    const { config, warnings } = read("dataDir=/d\npeerType=observer\ninitLimit=1\nsyncLimit=1\nserver.1=a:1:2\nserver.2=b:1:2:OBSERVER\nserver.3=c:1:2\nserver.4=e:1:2", "1");
    expect(config.role).toBe("participant");
    expect(warnings).toEqual(["zoo.cfg:2: peerType=observer: the server line makes this member a participant, which holds"]);
  });
});

describe("server lines", () => {
  test.each([
    ["h:1:2", { host: "h", quorumPort: 1, electionPort: 2, role: "participant", clientAddress: undefined }],
    ["h:1:2:Observer", { role: "observer" }],
    ["h:1:2;2181", { clientAddress: { host: "0.0.0.0", port: 2181 } }],
    ["h:1:2:participant;c:2181", { clientAddress: { host: "c", port: 2181 } }],
    ["[::1]:1:2;[::2]:2181", { host: "::1", clientAddress: { host: "::2", port: 2181 } }],
  ])("%s is understood", (text, expected) => {
    expect(parseMember(7, text)).toMatchObject({ id: 7, ...expected });
  });

  test.each([
    ["h:1", "expected host:port:port"],
    ["h:1:2:leader", "leader is no role"],
    ["h:1:1", "must differ"],
    ["h:1:70000", "at most 65535"],
    ["::1:1:2", "expected host:port:port"],
    ["h:1:2;x", "expected host:port:port"],
  ])("%s is refused", (text, message) => {
    expect(parseMember(7, text)).toContain(message);
    expect(problems(`dataDir=/d\nserver.7=${text}`)[0]).toContain(`zoo.cfg:2: server.7=${text}: `);
  });

  test("the text that members exchange reads back, groups and weights included", () => {
    const text =
      "server.1=a:1:2:participant;0.0.0.0:2181\nserver.2=[::1]:1:2:observer\nserver.3=c:1:2:participant\ngroup.1=1\ngroup.2=3\nweight.1=1\nweight.3=4\nversion=100000002";
    const { ensemble, problems: found } = readEnsemble(parseProperties(text, "f"));
    expect(found).toEqual([]);
    expect(formatEnsemble(ensemble)).toBe(text);
  });

  test("once there are groups every voter is in exactly one", () => {
    const text = "dataDir=/d\ninitLimit=1\nsyncLimit=1\nserver.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\ngroup.1=1:2\ngroup.2=2\nweight.x=1";
    expect(problems(text, "1")).toEqual([
      "zoo.cfg:9: weight.x=1: expected a whole number after weight.",
      "zoo.cfg:6: server.3=c:1:2: is in no group, and all voters must be once there is any group or weight",
      "zoo.cfg:7: group.1=1:2: 2 is in more than one group",
      "zoo.cfg:8: group.2=2: 2 is in more than one group",
    ]);
  });
});

describe("a quorum", () => {
  const ensemble = (text: string): ReturnType<typeof readEnsemble>["ensemble"] => readEnsemble(parseProperties(text, "f")).ensemble;

  test("is more than half of the voters, observers left out", () => {
    const plain = ensemble("server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\nserver.4=d:1:2:observer");
    expect(isQuorum(plain, new Set([1, 4]))).toBe(false);
    expect(isQuorum(plain, new Set([1, 3]))).toBe(true);
    expect(isQuorum(ensemble(""), new Set([1]))).toBe(false);
  });

  test("with groups is more than half of the groups, each by more than half of its weight", () => {
    const servers = Array.from({ length: 9 }, (_, index) => `server.${index + 1}=h${index + 1}:1:2\n`).join("");
    const grouped = ensemble(`${servers}group.1=1:2:3\ngroup.2=4:5:6\ngroup.3=7:8:9\nweight.1=3`);
    expect(isQuorum(grouped, new Set([1, 4, 5]))).toBe(true);
    expect(isQuorum(grouped, new Set([2, 3, 4, 5]))).toBe(false);
    expect(isQuorum(grouped, new Set([4, 5, 7, 8]))).toBe(true);
    const weightless = ensemble(`${servers}group.1=1:2:3\ngroup.2=4:5:6\ngroup.3=7:8:9\nweight.7=0\nweight.8=0\nweight.9=0\nweight.4=0\nweight.5=0\nweight.6=0`);
    expect(isQuorum(weightless, new Set([1, 2]))).toBe(true);
  });
});

describe("a dynamic file", () => {
  const main = "dataDir=/d\ninitLimit=1\nsyncLimit=1\ndynamicConfigFile=zoo.cfg.dynamic\n";
  const servers = "server.1=a:1:2;2181\nserver.2=b:1:2\nserver.3=c:1:2\n";

  test("holds the server lines, and this member's client port if it is there", () => {
    const { config } = read(`${main}clientPort=2181`, "1", servers);
    expect(config).toMatchObject({ self: { host: "a" }, clientAddress: { host: "0.0.0.0", port: 2181 }, ensemble: { version: 0x1_0000_0000 } });
    expect(problems(`${main}clientPort=2182`, "1", servers)).toEqual([
      "zoo.cfg:5: clientPort=2182: differs from this member's server line, which names 0.0.0.0:2181 for clients",
    ]);
  });

  test("leaves no server line to the main file and takes nothing else", () => {
    expect(problems(`${main}server.4=d:1:2`, "1", `${servers}version=1\ntickTime=5`)).toEqual([
      "zoo.cfg:5: server.4=d:1:2: belongs into the file that dynamicConfigFile names",
      "zoo.cfg.dynamic:4: version=1: the version is the ending of the file's name, not a line in it",
      "zoo.cfg.dynamic:5: tickTime=5: only server, group and weight lines may stand here",
    ]);
  });
});

describe("values", () => {
  test("session timeouts follow the tick unless they are set, and must not cross", () => {
    expect(read("dataDir=/d").config).toMatchObject({ tickTime: 3000, minSessionTimeout: 6000, maxSessionTimeout: 60_000 });
    expect(read("dataDir=/d\nminSessionTimeout=1\nmaxSessionTimeout=2").config).toMatchObject({ minSessionTimeout: 1, maxSessionTimeout: 2 });
    expect(problems("dataDir=/d\nmaxSessionTimeout=10")).toEqual([
      "zoo.cfg:2: maxSessionTimeout=10: the shortest session timeout, 6000 ms, is above the longest, 10 ms",
    ]);
    expect(problems("dataDir=/d\ntickTime=0")).toEqual(["zoo.cfg:2: tickTime=0: expected a whole number from 1 to 2147483647"]);
  });

  test("lenient switches take any text, as Java does, and say what it means", () => {
    const { config, warnings } = read("dataDir=/d\nquorumListenOnAllIPs=yes\nforceSync=NO\nskipACL=yes\nsnapshot.trust.empty=TRUE\nleaderServes=true");
    expect(config).toMatchObject({ quorumListenOnAllIPs: false, forceSync: false, skipACL: true, snapshotTrustEmpty: true, leaderServes: false });
    expect(warnings).toEqual([
      "zoo.cfg:2: quorumListenOnAllIPs=yes: means false, as everything but true does",
      "zoo.cfg:6: leaderServes=true: means no, as everything but yes does",
      "zoo.cfg:6: leaderServes=true: has no effect: it always has",
    ]);
    expect(problems("dataDir=/d\nstandaloneEnabled=yes")).toEqual(["zoo.cfg:2: standaloneEnabled=yes: expected true or false"]);
  });

  test("fewer than three snapshots kept means three", () => {
    const { config, warnings } = read("dataDir=/d\nautopurge.snapRetainCount=1");
    expect(config).toMatchObject({ autopurgeSnapRetainCount: 3 });
    expect(warnings).toEqual(["zoo.cfg:2: autopurge.snapRetainCount=1: means 3, the least"]);
  });

  test("what Apache's server takes from its JVM's command line can stand in the file", () => {
    expect(read("dataDir=/d\njute.maxbuffer=4194304\nreadonlymode.enabled=true").config).toMatchObject({ juteMaxbuffer: 4_194_304, readonlymodeEnabled: true });
  });

  test("four-letter words are a list", () => {
    expect(read("dataDir=/d").config["4lwCommandsWhitelist"]).toEqual(["srvr"]);
    expect(read("dataDir=/d\n4lw.commands.whitelist=stat, ruok , *").config["4lwCommandsWhitelist"]).toEqual(["stat", "ruok", "*"]);
  });

  test("a member's number above 254 leaves no room for TTLs", () => {
    const text = "dataDir=/d\ninitLimit=1\nsyncLimit=1\nserver.255=a:1:2\nserver.1=b:1:2\nserver.2=c:1:2\n";
    expect(problems(text, "255")).toEqual([]);
    expect(problems(`${text}extendedTypesEnabled=true`, "255")[0]).toContain("needs a member's number of at most 254");
  });
});

test("what was meant to close is refused, what has no effect and what nobody knows is warned about by name", () => {
  expect(problems("dataDir=/d\nsslQuorum=true\nsecureClientPort=2281\nelectionAlg=1")).toEqual([
    "zoo.cfg:3: secureClientPort=2281: only 0 is possible: TLS is still to come",
    "zoo.cfg:4: electionAlg=1: only 3 is possible: the older algorithms are gone from ZooKeeper too",
    "zoo.cfg:2: sslQuorum=true: only false is possible: TLS is still to come",
  ]);
  expect(read("dataDir=/d\nreconfigEnabled=true\nsnapcount=5\nzookeeper.snapCount=5\nmetricsProvider.className=x\naudit.enable=true").warnings).toEqual([
    "zoo.cfg:2: reconfigEnabled=true: has no effect: the ensemble is the one in the file",
    "zoo.cfg:5: metricsProvider.className=x: has no effect: only a JVM has it",
    "zoo.cfg:3: unknown key snapcount: Apache's ZooKeeper would set the Java system property zookeeper.snapcount, here nothing reads it; did you mean snapCount?",
    "zoo.cfg:4: unknown key zookeeper.snapCount: Apache's ZooKeeper would set the Java system property zookeeper.zookeeper.snapCount, here nothing reads it; write snapCount",
    "zoo.cfg:6: unknown key audit.enable: Apache's ZooKeeper would set the Java system property zookeeper.audit.enable, here nothing reads it",
  ]);
});

test("a file without dataDir says what is missing, and nothing else on its account", () => {
  expect(problems("clientPort=1\nserver.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\ninitLimit=1\nsyncLimit=1")).toEqual([
    "zoo.cfg: dataDir is missing, expected a path: The directory for snapshots, in which the file myid holds this member's number",
  ]);
});
