#!/bin/sh
# One line per run. An append of a short line is atomic.
echo "$MILLRACE_EXEC_ID $MILLRACE_ATTEMPT" >>"$1"
[ "$2" = 0 ] || sleep "$2"
