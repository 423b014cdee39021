#!/bin/sh
# Takes a secret by stdin, says it aloud, and waits for the file $1.
parameters=$(cat)
echo "parameters: $parameters"
echo "parameters: $parameters" >&2
echo started >"$1.started"
while [ ! -e "$1" ]; do sleep 0.05; done
