#!/bin/sh
# Positioned parameters are arguments; no shell has read them.
printf '%s, %s!\n' "$2" "$1"
