# pgseal: transparent encryption of columns for PostgreSQL
#
#   make, make install        build and install for the PostgreSQL of PG_CONFIG
#   make installcheck         regression tests against a running server
#   make check-layers         who includes what, and what pgseal.so exports
#   make soak                 ten minutes of sessions, rotations, faults and crashes
#   make indent               indents as PostgreSQL does, with pg_bsd_indent of 16 or later
#   make parity               the generated parts of the SQL script, anew
#   make deb                  packages for the installed PostgreSQLs, in ..
#   make test, demo, bench    all tests, a guided tour, benchmarks; in a
#                             scratch copy, with a private server (CONTRIBUTING.md)

EXTENSION = pgseal
MODULE_big = pgseal
# Where the source is: not here, in a build beside it (make -f ../pgseal/Makefile).
# PGXS says srcdir, but only when it is included, and it asks for OBJS before that.
TOP := $(or $(VPATH),$(patsubst %/,%,$(dir $(firstword $(MAKEFILE_LIST)))))
# in-source FILES: names from there on, of files that match these patterns
in-source = $(patsubst $(TOP)/%,%,$(sort $(wildcard $(addprefix $(TOP)/,$(1)))))
OBJS := $(patsubst %.c,%.o,$(call in-source,src/*.c src/*/*.c))
HDRS := $(call in-source,src/*/*.h)
# The one place where the version of the SQL objects stands
EXTVERSION := $(shell sed -n "s/^default_version = '\(.*\)'$$/\1/p" $(TOP)/pgseal.control)
DATA_built = sql/pgseal--$(EXTVERSION).sql
# From one version to the next; the scripts of released versions are in test/release
DATA = $(call in-source,sql/pgseal--*--*.sql)

PG_CPPFLAGS = -I$(srcdir)/src
PG_CFLAGS = -Wall -Wextra -Werror -Wno-unused-parameter -Wno-sign-compare \
	-Wno-missing-field-initializers -fvisibility=hidden
# PostgreSQL was compiled by gcc: clang does not know all its options and attributes.
PG_CFLAGS += $(if $(findstring clang,$(CC)),-Wno-unknown-warning-option -Wno-ignored-attributes -Wno-ignored-optimization-argument)
# Not libcurl: src/base/libcurl.c loads it when it is needed
SHLIB_LINK = -lcrypto -lssl

REGRESS := $(patsubst sql/%.sql,%,$(filter-out sql/pgseal--%,$(call in-source,sql/*.sql)))
REGRESS_OPTS = --load-extension=pgseal
ISOLATION := $(patsubst test/isolation/specs/%.spec,%,$(call in-source,test/isolation/specs/*.spec))
ISOLATION_OPTS = --inputdir=$(srcdir)/test/isolation --load-extension=pgseal

# No LLVM bitcode: what handles keys is compiled in one way only, with the flags
# above, and the JIT has nothing to gain from inlining it.  Nor is clang needed.
override with_llvm = no

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
ifneq ($(PGXS),)
include $(PGXS)
else
all install uninstall installcheck clean:
	@echo "$(PG_CONFIG) not found: install postgresql-server-dev-15 (or 16, 17, 18)," \
		"or say make PG_CONFIG=/path/to/pg_config" >&2; exit 1
endif

.DELETE_ON_ERROR:

# PGXS knows nothing of headers.
$(OBJS): $(HDRS)
# Nor of folders in a build beside the source (a rule would find those of the source).
$(shell mkdir -p sql $(sort $(dir $(OBJS))))

# The SQL script is the files of sql/install in the order of their names;
# a *.sql.in among them is repeated for every row of types.txt.
SQL_PARTS := $(addprefix $(TOP)/,$(call in-source,sql/install/*.sql sql/install/*.sql.in))
SQL_INSTALL := $(TOP)/sql/install
# The directory is younger when a file was taken away.
$(DATA_built): $(SQL_INSTALL) $(SQL_INSTALL)/assemble.awk $(SQL_INSTALL)/types.txt $(SQL_PARTS)
	awk -f $(SQL_INSTALL)/assemble.awk $(SQL_INSTALL)/types.txt $(SQL_PARTS) > $@

# PGXS would make a.sql from a.sql.in in its own way.
%.sql: %.sql.in

check-layers: all
	perl test/check_layers.pl

test:
	sh test/run.sh

soak:
	sh test/run.sh test/soak.pl

demo:
	sh test/demo.sh

# PostgreSQL's own regression suite, without pgseal and with it
check-postgres:
	sh test/scratch.sh sh test/check_postgres.sh

bench:
	sh test/scratch.sh sh test/bench/run.sh

# As PostgreSQL's own source; typedefs are those of the debug information
indent: all
	sh test/indent.sh

deb:
	sh debian/build.sh

# The generated parts of the SQL script, and what they were made from: look at the
# difference before taking it.
parity:
	out=$$(mktemp -d) && chmod 777 $$out && \
		sh test/scratch.sh sh test/parity/make.sh $$out && \
		cp $$out/*.sql sql/install/ && cp $$out/checksums test/parity/ && rm -r $$out

.PHONY: check-layers check-postgres test soak demo bench indent deb parity
