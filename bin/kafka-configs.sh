#!/bin/sh
# Settings of topics and brokers: kafka-configs.sh --help
exec "$(dirname "$(readlink -f "$0")")/run-class" kafka-configs kafka-configs "$@"
