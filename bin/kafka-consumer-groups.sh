#!/bin/sh
# Groups of consumers, and what they have committed: kafka-consumer-groups.sh --help
exec "$(dirname "$(readlink -f "$0")")/run-class" kafka-consumer-groups kafka-consumer-groups "$@"
