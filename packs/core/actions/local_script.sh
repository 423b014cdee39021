#!/bin/sh
# $1 is the script, all that follows are its arguments.
script=$1
shift
exec /bin/sh -c "$script" local_script "$@"
