#!/bin/sh
# Runs the tests: sh test/run.sh [test/t/FILE.pl ...]
#
# On a machine that has nothing but this checkout, too: see test/scratch.sh.
# REGRESS="topic ..." restricts the regression tests of sql/ to these topics.
exec sh "$(dirname "$0")/scratch.sh" perl test/suite.pl "$@"
