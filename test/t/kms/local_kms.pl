# A key's life (test/kms/AwsLife.pm) against local-kms, which a Go makes, or against what
# PGSEAL_AWS_ENDPOINT=http://127.0.0.1:4566 names and runs already.  (Signatures and
# policies it doesn't check: that is kms/moto.pl.)

use strict;
use warnings;

use File::Basename qw(dirname);
use File::Spec;
use lib File::Spec->rel2abs(dirname(__FILE__)) . '/../../kms';
use AwsLife;

AwsLife::test('local_kms.sh', 'needs Go');
