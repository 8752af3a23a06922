#!/bin/sh
# Shows what pgseal does, on a throw-away server: sh test/demo.sh
#
# On a machine that has nothing but this checkout, too: see test/scratch.sh.
exec sh "$(dirname "$0")/scratch.sh" sh test/demo/tour.sh
