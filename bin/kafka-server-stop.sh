#!/bin/sh
# Stops the brokers of this machine, ours and Apache's; in a systemd unit the unit's one. SIGNAL=KILL kills them.
exec "$(dirname "$(readlink -f "$0")")/stop-server" kafka kafka.Kafka
