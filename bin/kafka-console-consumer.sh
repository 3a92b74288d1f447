#!/bin/sh
# Prints records of a topic: kafka-console-consumer.sh --help
exec "$(dirname "$(readlink -f "$0")")/run-class" kafka-console-consumer kafka-console-consumer "$@"
