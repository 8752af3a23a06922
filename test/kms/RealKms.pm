# Starts a third-party server by its script in test/kms and talks to it by lines
# of JSON.
package RealKms;

use strict;
use warnings;

use File::Basename qw(dirname);
use File::Spec;
use IPC::Run;
use JSON::PP;
use Test::More;

my $here = File::Spec->rel2abs(dirname(__FILE__));

# Skips the whole test if the server can't be had (its script ends with 77), but dies
# where that must not happen, and if it is there and doesn't start.  Returns ($server,
# what it printed first).
sub start
{
	my ($class, $script, @arguments) = @_;
	my $self = bless { stdout => '', stderr => '', stdin => '' }, $class;
	$self->{handle} = IPC::Run::start([ 'sh', "$here/$script", @arguments ], '<', \$self->{stdin}, '>', \$self->{stdout}, '2>', \$self->{stderr});
	my $facts = $self->read_line;
	if (!defined $facts)
	{
		my $why = "$script: " . ($self->{stderr} || 'did not start');
		eval { $self->{handle}->finish };
		my $unavailable = ($self->{handle}->full_result(0) // 0) >> 8 == 77;
		die $why if !$unavailable || (($ENV{CI} || $ENV{PGSEAL_NO_SKIP}) && $why !~ /: needs Go/);
		plan(skip_all => $why);
	}
	return ($self, $facts);
}

sub read_line
{
	my ($self) = @_;
	while ($self->{stdout} !~ /\n/)
	{
		return undef unless $self->{handle}->pumpable;
		eval { $self->{handle}->pump; 1 } or return undef;
	}
	$self->{stdout} =~ s/^(.*)\n//;
	return decode_json($1);
}

sub ask
{
	my ($self, $question) = @_;
	$self->{stdin} .= encode_json($question) . "\n";
	return $self->read_line;
}

sub stop
{
	my ($self) = @_;
	$self->{handle}->kill_kill;
	return;
}

1;
