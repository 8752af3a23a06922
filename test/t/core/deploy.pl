# The files of deploy/, as far as a quick test can tell without building an image or
# starting another server (test/deploy.sh does): they can be read, what they name is
# there, and their SQL and settings are the server's.

use strict;
use warnings;

use File::Find;
use FindBin;
use PostgreSQL::Test::Utils;
use SealedNode;
use Test::More;

eval { require YAML::XS } or plan(skip_all => 'needs YAML::XS (libyaml-libyaml-perl)');

my $top = "$FindBin::Bin/../../..";
chdir $top or die;
my @files;
find({ no_chdir => 1, wanted => sub { push @files, $_ if -f } }, 'deploy');
@files = sort @files;
my %text = map { $_ => slurp_file($_) } @files;

# ---- each can be read

for my $file (grep { /\.ya?ml$/ && !m{/templates/} } @files)
{
	my @documents = eval { YAML::XS::Load($text{$file}) };
	is($@, '', "$file is YAML");
	cmp_ok(scalar(grep { ref $_ } @documents), '>', 0, 'with something in it');
}
for my $file (grep { $text{$_} =~ /^#!\/bin\/sh/ } @files)
{
	is(system('sh', '-n', $file), 0, "$file is a shell script");
}

# ---- what they name is there

sub missing { return join(' ', grep { !-e } @_); }

my @copied = map { my @words = split; pop @words; @words } $text{'deploy/image/Dockerfile'} =~ /^COPY (?!--from)(.*)$/mg;
cmp_ok(scalar @copied, '>', 5, 'the image is made of files');
is(missing(@copied), '', 'which are there');
my @taken = slurp_file('.dockerignore') =~ /^!(\S+)$/mg;
is(join(' ', grep { my $file = $_; !grep { $file eq $_ || index($file, "$_/") == 0 } @taken } @copied), '', 'and that .dockerignore lets through');
for my $file (glob 'deploy/compose/*.yaml')
{
	my $services = YAML::XS::Load($text{$file})->{services};
	my @mounts = map { "deploy/compose/$_" } map { m{^(\./[^:]+):} } map { @{ $_->{volumes} } } values %$services;
	is(missing(@mounts), '', "$file: what it mounts is there");
	is(missing('deploy/compose/' . $services->{database}{build}{context} . '/' . $services->{database}{build}{dockerfile}), '', 'and the Dockerfile');
}
for my $file (@files, 'docs/deploying.md')
{
	my $text = $text{$file} // slurp_file($file);
	is(missing($text =~ m{\b((?:deploy|docs|src|test)/[\w./-]*\w)}g), '', "$file: the paths that it names are there");
}

# Each file belongs to a directory that the page tells of
my $page = slurp_file('docs/deploying.md') . slurp_file('docs/operating.md');
is(join(' ', grep { my $file = $_; !grep { index($page, $_) >= 0 } $file, map { my $dir = $file; $dir =~ s{(/[^/]*){$_}$}{}; "$dir" } 1 .. 2 } @files), '', 'the pages tell of each file');

# ---- the page's commands are those that test/deploy.sh runs

my ($fenced, $heading, %commands) = (0, '');
for (split /\n/, slurp_file('docs/deploying.md'))
{
	$fenced = /^```sh$/ if /^```/;
	$heading = $1 if !$fenced && /^#+ (.*)$/;
	$commands{$heading} .= "$_\n" if $fenced && !/^```/;
}
my $parts = join '', map { slurp_file($_) } glob 'test/deploy/parts/*.sh';
my @drills = delete($commands{Backups}) =~ /^sh deploy\/backup\/drill\.sh keyring (?:sh deploy\/backup\/)?(\w+)/mg;
cmp_ok(scalar keys %commands, '>=', 6, 'the page has commands');
is(join(', ', grep { $parts !~ /\bcommands (?:"\Q$_\E"|\Q$_\E\b)/ } sort keys %commands), '', 'which are run');
is(join(', ', grep { !-e "test/deploy/servers/$_.sh" || slurp_file("test/deploy/servers/$_.sh") !~ /^drill .*\b$_\b/m } @drills), '', 'the drills, too');

# ---- the chart's values are those that its templates use

my $values = YAML::XS::Load($text{'deploy/helm/pgseal/values.yaml'});
my %used = map { $_ => 1 } join('', @text{ grep { m{/templates/} } @files }) =~ /\.Values\.(\w+)/g;
is(join(' ', sort keys %$values), join(' ', sort keys %used), 'the chart uses each value, and no other');
for my $file (glob 'deploy/helm/*.yaml')
{
	is(join(' ', grep { !exists $values->{$_} } keys %{ YAML::XS::Load($text{$file}) }), '', "$file sets values that the chart has");
}

# ---- SQL and settings, as the server takes them

my $node = SealedNode->started('deploy');
$node->query('postgres', 'CREATE EXTENSION pgseal');
for my $file (@files)
{
	# Comments of YAML hold SQL, too
	my $text = $text{$file} =~ s/^#( |$)//gmr;
	for my $statement ($text =~ /^(CREATE SERVER .*?;)$/msg)
	{
		my ($name) = $statement =~ /^CREATE SERVER (\w+)/;
		is($node->query('postgres', "BEGIN; $statement SELECT srvname FROM pg_foreign_server WHERE srvname = '$name'; ROLLBACK"), $name, "$file: server $name");
	}
	# Settings, relations and functions; not names of files
	my %names = map { $_ => 1 } $text{$file} =~ /(?<![\w.\/-])pgseal\.(?!(?:so|control|yml|collector|keyrings)\b)(\w+)/g;
	my $known = $node->query('postgres', "SELECT string_agg(name, ' ') FROM (
		SELECT substr(name, 8) AS name FROM pg_settings WHERE name LIKE 'pgseal.%'
		UNION SELECT relname FROM pg_class WHERE relnamespace = 'pgseal'::regnamespace
		UNION SELECT proname FROM pg_proc WHERE pronamespace = 'pgseal'::regnamespace) n");
	my %known = map { $_ => 1 } split / /, $known;
	is(join(' ', grep { !$known{$_} } sort keys %names), '', "$file: what it names of pgseal is there");
}
$node->stop;

done_testing();
