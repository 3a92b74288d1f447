import { OperationalError } from "../../lib/error.ts";

export interface ServerAddress {
  readonly host: string;
  readonly port: number;
}

export interface ConnectString {
  readonly servers: readonly ServerAddress[];
  /** Path under which everything of this client lives; empty for the root. */
  readonly chroot: string;
}

const DEFAULT_PORT = 2181;

/** Reads `host:port,[v6]:port/chroot`. Source: ConnectStringParser.java. */
export function parseConnectString(text: string): ConnectString {
  const slash = text.indexOf("/");
  const chroot = slash < 0 ? "" : text.slice(slash).replace(/\/$/, "");
  const servers = (slash < 0 ? text : text.slice(0, slash))
    .split(",")
    .map((server) => server.trim())
    .filter((server) => server !== "")
    .map((server): ServerAddress => {
      const match = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(server);
      const host = match?.[1] ?? match?.[2];
      const port = Number(match?.[3] ?? DEFAULT_PORT);
      if (host === undefined || port > 65_535) throw new OperationalError("EINVAL", `"${server}" in the ZooKeeper connect string "${text}" is not host:port`);
      return { host, port };
    });
  if (servers.length === 0) throw new OperationalError("EINVAL", `the ZooKeeper connect string "${text}" names no server: give host:port[,host:port…][/path]`);
  return { servers, chroot };
}
