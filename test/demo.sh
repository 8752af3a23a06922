#!/bin/sh
# Shows what pgseal does, on a throw-away server: sh test/demo.sh
#
# On a machine that has nothing but this checkout, too: see test/scratch.sh.
[ $# -eq 0 ] || { echo 'pgseal: the demo takes no arguments; say: sh test/demo.sh' >&2; exit 1; }
exec sh "$(dirname "$0")/scratch.sh" sh test/demo/tour.sh
