# A key's life (test/kms/AwsLife.pm) against LocalStack.  (Signatures and policies it
# doesn't check: that is kms/moto.pl.)

use strict;
use warnings;

use File::Basename qw(dirname);
use File::Spec;
use lib File::Spec->rel2abs(dirname(__FILE__)) . '/../../kms';
use AwsLife;

delete $ENV{PGSEAL_AWS_ENDPOINT};
AwsLife::test('localstack.sh');
