#!/bin/sh
# One line per run: name, execution, attempt. An append of a short line is atomic.
echo "$2 $MILLRACE_EXEC_ID $MILLRACE_ATTEMPT" >>"$1"
[ "$3" = 0 ] || sleep "$3"
echo "$2"
[ "$4" = all ] && exit 1
[ "$(grep "^$2 " "$1" | cut -d' ' -f2 | sort -u | wc -l)" -gt "$4" ]
