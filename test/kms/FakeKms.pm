# Starts test/kms/fake.py and talks to its control interface.
package FakeKms;

use strict;
use warnings;

use Exporter qw(import);
use File::Basename qw(basename dirname);
use File::Spec;
use HTTP::Tiny;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Utils qw(slurp_file system_or_bail);
use SealedNode qw(write_file);

our @EXPORT_OK = qw(make_certificate);

my $here = File::Spec->rel2abs(dirname(__FILE__));

# A certificate that vouches for itself, for one subject ("IP:127.0.0.1"): PATH.crt, PATH.key,
# and both in PATH.pem, which it returns
sub make_certificate
{
	my ($path, $subject) = @_;

	system_or_bail('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-keyout', "$path.key",
		'-out', "$path.crt", '-subj', '/CN=' . basename($path), '-addext', "subjectAltName=$subject");
	return write_file("$path.pem", slurp_file("$path.key") . slurp_file("$path.crt"));
}

# cert => PEM file: TLS; client_ca => PEM file: with client certificates, so
# that the control interface can't be reached
sub start
{
	my ($class, %arg) = @_;
	my $self = bless { stdin => '', stdout => '', tls => defined $arg{cert} }, $class;
	my @command = ('python3', "$here/fake.py", '--port', $arg{port} // 0);
	push @command, '--cert', $arg{cert} if $arg{cert};
	push @command, '--client-ca', $arg{client_ca} if $arg{client_ca};
	$self->{handle} = IPC::Run::start(\@command, '<pipe', $self->{in} = Symbol::gensym(), '>', \$self->{stdout});
	$self->{handle}->pump until $self->{stdout} =~ /^(\d+)\n/;
	$self->{port} = $1;
	return $self;
}

sub port { return $_[0]->{port}; }
sub url { return ($_[0]->{tls} ? 'https' : 'http') . "://127.0.0.1:$_[0]->{port}"; }

sub stop
{
	my ($self) = @_;
	close $self->{in};
	$self->{handle}->finish;
	return;
}

sub request
{
	my ($self, $method, $path, $content) = @_;
	my $reply = HTTP::Tiny->new(verify_SSL => 0, proxy => undef, http_proxy => undef, https_proxy => undef)
	  ->request($method, $self->url . $path, { defined $content ? (content => encode_json($content)) : () });
	die "$path: $reply->{status} $reply->{content}" unless $reply->{success};
	return decode_json($reply->{content});
}

# state => {...}, faults => [...]; empties the log.  Returns the state.
sub set
{
	my ($self, %command) = @_;
	return $self->request('POST', '/_control', { %command, clear_log => JSON::PP::true });
}

# The operations asked for since the last set()
sub operations
{
	my ($self) = @_;
	return map { $_->{op} } @{ $self->request('GET', '/_log') };
}

sub requests
{
	my ($self) = @_;
	return @{ $self->request('GET', '/_log') };
}

1;
