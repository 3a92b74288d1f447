import { Reader } from "../../src/codec/reader.ts";
import type { Host } from "../../src/host/host.ts";
import type { Connection } from "../../src/host/net.ts";
import { epochOf, type Zxid } from "../../src/zookeeper/protocol/ids.ts";
import { learnerInfo, PacketType, quorumPacket, type QuorumPacket } from "../../src/zookeeper/protocol/quorum.ts";
import { TappedConnection, type Listener } from "./tapped-connection.ts";

export type SyncKind = "diff" | "trunc" | "snap";

/** A leader has begun to bring a learner to its own history. */
export interface SyncBegin {
  /** Numbers in server.N lines. */
  readonly leader: number;
  readonly learner: number;
  readonly kind: SyncKind;
  readonly zxid: Zxid;
}

export interface QuorumEvents {
  /** Somebody with enough followers to draw an epoch has told one of them. */
  epoch(leader: number, epoch: number): void;
  sync(begin: SyncBegin): void;
}

const SYNC_KINDS: Readonly<Record<number, SyncKind>> = { [PacketType.diff]: "diff", [PacketType.trunc]: "trunc", [PacketType.snap]: "snap" };

/** The host of a member, whose conversations with learners are listened to until it is clear how each is synchronized. */
export function tapQuorum(host: Host, member: { readonly id: number; readonly quorumPort: number }, events: QuorumEvents): Host {
  const { net } = host;
  return {
    ...host,
    net: {
      connect: (options) => net.connect(options),
      listen: (options, onConnection) =>
        net.listen(options, options.port === member.quorumPort ? (connection: Connection) => onConnection(new TappedConnection(connection, new Conversation(member.id, events))) : onConnection),
    },
  };
}

class Conversation implements Listener {
  readonly #leader: number;
  readonly #events: QuorumEvents;
  readonly #fromLearner = new Packets();
  readonly #fromLeader = new Packets();
  #learner: number | undefined;
  #over = false;

  constructor(leader: number, events: QuorumEvents) {
    this.#leader = leader;
    this.#events = events;
  }

  received(bytes: Buffer): void {
    if (this.#learner !== undefined) return;
    const packet = this.#fromLearner.push(bytes)[0];
    if (packet?.data === undefined || packet.data === null) return;
    this.#learner = learnerInfo.decode(packet.data)?.serverid ?? -1;
  }

  sent(bytes: Buffer): void {
    if (this.#over) return;
    for (const packet of this.#fromLeader.push(bytes)) {
      const kind = SYNC_KINDS[packet.type];
      if (packet.type === PacketType.leaderInfo) this.#events.epoch(this.#leader, epochOf(packet.zxid));
      if (kind === undefined) continue;
      // What follows need not be packets.
      this.#over = true;
      this.#events.sync({ leader: this.#leader, learner: this.#learner ?? -1, kind, zxid: packet.zxid });
      return;
    }
  }
}

/** Cuts a stream without lengths into packets. */
class Packets {
  #rest = Buffer.alloc(0);

  push(bytes: Buffer): QuorumPacket[] {
    const reader = new Reader(Buffer.concat([this.#rest, bytes]));
    const packets: QuorumPacket[] = [];
    for (;;) {
      const { position } = reader;
      const packet = reader.remaining === 0 ? undefined : quorumPacket.read(reader);
      if (packet === undefined || reader.bad) {
        this.#rest = Buffer.from(reader.buffer.subarray(position));
        return packets;
      }
      packets.push(packet);
    }
  }
}
