#!/bin/sh
# Starts a ZooKeeper member: zookeeper-server-start.sh [-daemon] zookeeper.properties
exec "$(dirname "$(readlink -f "$0")")/run-class" zookeeper-server-start zookeeper "$@"
