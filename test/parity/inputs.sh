#!/bin/sh
# The last line of sql/install/70_parity.sql: a checksum of all that it was made of.
# test/t/401_parity_inputs.pl compares it.  (sh test/parity/inputs.sh)
set -eu
cd "$(dirname "$0")/../.."
LC_ALL=C
export LC_ALL
inputs='sql/install/types.txt sql/install/25_typmod.sql sql/install/30_type.sql.in sql/install/40_compare.sql.in
	sql/install/47_related_types.sql sql/install/56_in_range.sql
	test/parity/generate.pl test/parity/ParityRun.pm test/parity/ParityUses.pm test/parity/samples.txt'
printf '\n-- Made of %s\n' "$(cat sql/install/types.txt $inputs |
	grep -v '^[[:space:]]*\(--\|#\|$\)' | sha256sum | cut -c1-64)"
