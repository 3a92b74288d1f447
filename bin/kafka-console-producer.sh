#!/bin/sh
# Writes a record for each line of the input: kafka-console-producer.sh --help
exec "$(dirname "$(readlink -f "$0")")/run-class" kafka-console-producer kafka-console-producer "$@"
