# pgseal: transparent encryption of columns for PostgreSQL

EXTENSION = pgseal
MODULE_big = pgseal
DATA_built = sql/pgseal--1.0.sql
OBJS = $(patsubst %.c,%.o,$(wildcard src/*.c src/kms/*.c))

PG_CPPFLAGS = -I$(srcdir)/src
PG_CFLAGS = -Wall -Wextra -Werror -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers -fvisibility=hidden
SHLIB_LINK = -lcrypto -lssl -lcurl

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)
