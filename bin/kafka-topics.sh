#!/bin/sh
# Topics of a cluster: kafka-topics.sh --help
exec "$(dirname "$(readlink -f "$0")")/run-class" kafka-topics kafka-topics "$@"
