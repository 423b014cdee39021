#!/bin/sh
# A boolean is 1 or 0. No shell has read the arguments.
said="Hello, $1!"
[ "$2" = 1 ] && said=$(printf %s "$said" | tr '[:lower:]' '[:upper:]')
printf '%s\n' "$said"
