# A short run of the fuzzers in test/fuzz under the address and undefined
# behaviour sanitizers, always with the same mutations as far as it gets:
# sealed values, and every reader of what a KMS, a login service or a keyring
# file says.  `make -C test/fuzz run` runs them for longer.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

my ($stdout, $stderr);
my $seconds = 3;

ok(IPC::Run::run([ 'make', '-s', '-C', 'test/fuzz', 'fuzz_envelope', 'fuzz_replies' ], '>', \$stdout, '2>', \$stderr), 'fuzzers are built')
  or diag($stdout . $stderr);
foreach my $fuzzer (qw(fuzz_envelope fuzz_replies))
{
	ok(IPC::Run::run([ "test/fuzz/$fuzzer", $seconds, 1 ], '>', \$stdout, '2>', \$stderr), "$fuzzer finds nothing")
	  or diag($stdout . $stderr);
	like($stdout, qr/^[1-9]\d* rounds, mutated input accepted in [1-9]/m, "$fuzzer: some of its input is accepted");
}

done_testing();
