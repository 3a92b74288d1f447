import type { Host } from "../../host/host.ts";
import { assert } from "../../lib/assert.ts";
import type { Family } from "../../lib/metrics.ts";
import type { MemberConfig } from "../config/member-config.ts";
import { toHex } from "../protocol/ids.ts";
import { LocalOrder } from "./local-order.ts";
import { MemberData } from "./member-data.ts";
import { memberFamilies } from "./metrics.ts";
import { Primary } from "./primary.ts";
import { ClientServer } from "./server.ts";
import { SessionIds } from "./session-ids.ts";

/** In the ids of its sessions; conf says 0 all the same. */
const SERVER_ID = 1;

/**
 * A member that stands alone: one process, one data directory, no others to agree with. Source: ZooKeeperServerMain.
 */
export class StandaloneMember {
  readonly #data: MemberData;
  readonly #server: ClientServer;

  private constructor(data: MemberData, server: ClientServer) {
    this.#data = data;
    this.#server = server;
  }

  /** Serves clients when the promise is fulfilled. Rejects with the errors of `MemberData.open`, and with EADDRINUSE and its like. */
  static async start(host: Host, config: MemberConfig): Promise<StandaloneMember> {
    assert(config.mode === "standalone", "a member of an ensemble does not commit by itself");
    const server = new ClientServer(host, config);
    const data = await MemberData.open(host, config, server);
    const member = new StandaloneMember(data, server);
    try {
      await member.#start(host, config);
      return member;
    } catch (error) {
      await member.close();
      throw error;
    }
  }

  /** Where clients find it; undefined where the configuration gives them no port. */
  get clientPort(): number | undefined {
    return this.#server.port;
  }

  /** What it measures. */
  get families(): readonly Family[] {
    return memberFamilies(this.#server, this.#data.database);
  }

  /** Why clients should not come here, in words; undefined: it serves. */
  get unready(): string | undefined {
    return this.#server.role === undefined ? "it is stopping" : undefined;
  }

  /** What was acknowledged is on the disk; sessions live on, until they time out, for the next start. */
  async close(): Promise<void> {
    await this.#server.close();
    await this.#data.close();
  }

  async #start(host: Host, config: MemberConfig): Promise<void> {
    const { database } = this.#data;
    for (const session of database.tree.closeUnknownSessions()) host.log.warn("ephemeral znodes of an unknown session are gone", { session: `0x${toHex(session)}` });
    await database.takeSnapshot();
    this.#server.serve(
      new Primary(host, {
        mode: "standalone",
        config,
        shares: 1,
        database,
        policy: this.#server.policy,
        sessionIds: new SessionIds(SERVER_ID, host.clock.wallMs()),
        lastZxid: database.tree.lastZxid,
        order: new LocalOrder(database),
        monitored: () => ({}),
      }),
    );
    if (config.clientAddress !== undefined) await this.#server.listen(config.clientAddress);
    host.log.info("serving clients", { port: this.#server.port, mode: "standalone" });
    this.#data.keepPurged();
  }
}
