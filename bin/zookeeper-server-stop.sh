#!/bin/sh
# Stops the ZooKeeper members of this machine, ours and Apache's; in a systemd unit the unit's one. SIGNAL=KILL kills them.
exec "$(dirname "$(readlink -f "$0")")/stop-server" zookeeper org.apache.zookeeper.server.quorum.QuorumPeerMain
