#!/bin/sh
# Starts a ZooKeeper member: zookeeper-server-start.sh [-daemon] zookeeper.properties
exec "$(dirname "$(readlink -f "$0")")/run-class" -mark org.apache.zookeeper.server.quorum.QuorumPeerMain zookeeper-server-start zookeeper "$@"
