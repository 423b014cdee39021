#!/bin/sh
# effect.sh FILE KEY LINGER [GATE]: a line at its begin and one at its end, each with the execution,
# the attempt, the folder of its worker and the uptime, which no clock that is set moves. An append
# of a short line is atomic. With a GATE it waits for that file.
line() {
  read -r uptime _ </proc/uptime
  echo "$1 $file_key $MILLRACE_EXEC_ID $MILLRACE_ATTEMPT ${MILLRACE_ARTIFACTS_DIR%%/run/*} $uptime" >>"$file"
}
file=$1 file_key=$2
line begin
[ "$3" = 0 ] || sleep "$3"
while [ -n "$4" ] && ! [ -e "$4" ]; do sleep 0.1; done
line end
echo "$2"
