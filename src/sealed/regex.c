/*-------------------------------------------------------------------------
 *
 * regex.c
 *	  What every text that matches a regular expression has in it.
 *
 * Characters that stand for themselves, one after the other, are a run; all else
 * ends it.  A text that matches a branch has the trigrams of all its runs; one that
 * matches a | b those of a or those of b.  What isn't understood for sure is taken
 * for what may match anything: a search finds too much then, and looks again.
 *
 * Read here are the advanced expressions that PostgreSQL's operators take
 * (src/backend/regex/re_syntax.n).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "base/compat.h"
#include "sealed/terms.h"

typedef struct Parser
{
	const char *next;
	const char *end;
	bool		ignore_case;
	bool		given_up;		/* it may match anything */
	Oid			collation;
} Parser;

/* A branch as far as it has been read: alternatives, all of which go on */
typedef struct Branch
{
	PgsealTermQuery query;
	PgsealRun	run;
	int			last_character; /* of the run begins there */
} Branch;

static void parse_branches(Parser *parser, PgsealTermQuery *out_query, int depth);

static bool
at(const Parser *parser, int offset, char character)
{
	return parser->end - parser->next > offset && parser->next[offset] == character;
}

static bool
at_one_of(const Parser *parser, int offset, const char *characters)
{
	return parser->end - parser->next > offset && parser->next[offset] != '\0' &&
		strchr(characters, parser->next[offset]) != NULL;
}

/*
 * Combining
 */

static void
free_query(PgsealTermQuery *query)
{
	for (int i = 0; i < query->num; i++)
		if (query->alternatives[i].terms != NULL)
			pfree(query->alternatives[i].terms);
	memset(query, 0, sizeof(*query));
}

static void
add_all(PgsealTerms *terms, const PgsealTerms *more)
{
	for (int i = 0; i < more->num; i++)
		pgseal_terms_add(terms, more->terms[i]);
}

/* out_query or other; other is used up */
static void
add_alternatives(PgsealTermQuery *out_query, PgsealTermQuery *other)
{
	if (other->everything || out_query->num + other->num > PGSEAL_MAX_ALTERNATIVES)
		out_query->everything = true;
	for (int i = 0; i < other->num && !out_query->everything; i++)
	{
		out_query->alternatives[out_query->num++] = other->alternatives[i];
		memset(&other->alternatives[i], 0, sizeof(PgsealTerms));
	}
	free_query(other);
}

/* Both; where that were too many alternatives, query alone */
static void
add_requirement(PgsealTermQuery *query, const PgsealTermQuery *other)
{
	PgsealTermQuery product = {0};

	if (other->everything || query->num * other->num > PGSEAL_MAX_ALTERNATIVES)
		return;
	for (int i = 0; i < query->num; i++)
		for (int k = 0; k < other->num; k++)
		{
			PgsealTerms *terms = &product.alternatives[product.num++];

			add_all(terms, &query->alternatives[i]);
			add_all(terms, &other->alternatives[k]);
		}
	free_query(query);
	*query = product;
}

static void
end_run(Branch *branch)
{
	PgsealTerms terms = {0};

	pgseal_run_finish(&branch->run, &terms);
	for (int i = 0; i < branch->query.num; i++)
		add_all(&branch->query.alternatives[i], &terms);
	if (terms.terms != NULL)
		pfree(terms.terms);
}

/*
 * Reading
 */

/* A quantifier, if there is one: true when what it stands behind may be missing */
static bool
read_quantifier(Parser *parser, bool *out_is_there)
{
	bool		is_bound = at(parser, 0, '{') && at_one_of(parser, 1, "0123456789");
	bool		may_be_missing = is_bound || at_one_of(parser, 0, "*?");

	*out_is_there = may_be_missing || at(parser, 0, '+');
	if (!*out_is_there)
		return false;
	if (is_bound)
		while (parser->next < parser->end && *parser->next != '}')
			parser->next++;
	if (parser->next < parser->end)
		parser->next++;
	if (at(parser, 0, '?'))		/* not greedy */
		parser->next++;
	return may_be_missing;
}

/* Behind a character that stands for itself */
static void
read_quantifier_of_character(Parser *parser, Branch *branch)
{
	bool		is_there;

	if (read_quantifier(parser, &is_there))
		branch->run.num = branch->last_character;
	if (is_there)
		end_run(branch);
}

static void
read_character(Parser *parser, Branch *branch)
{
	const char *character = parser->next;
	int			width = Min(pg_mblen(character), parser->end - character);
	bool		is_there;

	parser->next += width;
	if (!parser->ignore_case || pgseal_folds_both_cases(character, width, parser->collation))
	{
		branch->last_character = branch->run.num;
		pgseal_run_add_character(&branch->run, character, width, parser->collation);
		read_quantifier_of_character(parser, branch);
	}
	else
	{
		end_run(branch);
		(void) read_quantifier(parser, &is_there);
	}
}

/* Behind a backslash */
static void
read_escape(Parser *parser, Branch *branch)
{
	bool		is_there;

	if (parser->next == parser->end)
		parser->given_up = true;
	else if (ispunct((unsigned char) *parser->next) || *parser->next == ' ')
		read_character(parser, branch);
	else if (at_one_of(parser, 0, "dwsDWSmMyYAZabBefnrtv"))
	{
		/* A class, a constraint, or some control character */
		parser->next++;
		end_run(branch);
		(void) read_quantifier(parser, &is_there);
	}
	else						/* numbers of characters, references to groups */
		parser->given_up = true;
}

/* Behind [ */
static void
read_bracket(Parser *parser, Branch *branch)
{
	bool		is_there;

	end_run(branch);
	if (at(parser, 0, '^'))
		parser->next++;
	if (at(parser, 0, ']'))
		parser->next++;
	while (parser->next < parser->end && *parser->next != ']')
	{
		if (*parser->next == '[' && at_one_of(parser, 1, ".:="))
		{
			char		kind = parser->next[1];

			parser->next += 2;
			while (parser->next < parser->end && !(at(parser, 0, kind) && at(parser, 1, ']')))
				parser->next++;
			parser->next += 2;
		}
		else
			parser->next += *parser->next == '\\' ? 2 : 1;
	}
	parser->next++;				/* ] */
	if (parser->next > parser->end)
		parser->given_up = true;
	else
		(void) read_quantifier(parser, &is_there);
}

/* Behind ( */
static void
read_group(Parser *parser, Branch *branch, int depth)
{
	PgsealTermQuery group = {0};
	bool		counts = true;
	bool		is_there;

	end_run(branch);
	if (at(parser, 0, '?'))
	{
		/* (?:re) is a group like others; (?=re) and such look ahead or behind */
		if (at(parser, 1, ':'))
			parser->next += 2;
		else if (at_one_of(parser, 1, "=!"))
			parser->next += 2, counts = false;
		else if (at(parser, 1, '<') && at_one_of(parser, 2, "=!"))
			parser->next += 3, counts = false;
		else
			parser->given_up = true;
	}
	if (parser->given_up)
		return;
	parse_branches(parser, &group, depth + 1);
	if (!at(parser, 0, ')'))
		parser->given_up = true;
	else
	{
		parser->next++;
		if (!read_quantifier(parser, &is_there) && counts)
			add_requirement(&branch->query, &group);
	}
	free_query(&group);
}

/* Does a branch of the whole expression end here? */
static bool
at_end(const Parser *parser, int depth)
{
	return depth == 0 && (parser->next == parser->end || *parser->next == '|');
}

/* Behind $ or ^ */
static void
read_anchor(Parser *parser, Branch *branch, int depth, bool begins, char anchor)
{
	bool		is_there;

	if (anchor == '^' && begins && depth == 0)
	{
		pgseal_run_add_start(&branch->run);
		return;
	}
	if (anchor == '$' && at_end(parser, depth) && branch->run.num > 0)
		pgseal_run_add_end(&branch->run);
	end_run(branch);
	(void) read_quantifier(parser, &is_there);
}

static void
parse_branch(Parser *parser, PgsealTermQuery *out_query, int depth)
{
	Branch		branch = {.query.num = 1};	/* one alternative that asks for
											 * nothing */
	const char *start = parser->next;

	while (!parser->given_up && parser->next < parser->end && *parser->next != '|' &&
		   !(depth > 0 && *parser->next == ')'))
	{
		char		character = *parser->next;
		bool		is_there;

		if (strchr("\\[(.^$", character) == NULL)
		{
			if (strchr("*+?{", character) != NULL)
				parser->given_up = true;	/* quantifies nothing that was
											 * read */
			else
				read_character(parser, &branch);
			continue;
		}
		parser->next++;
		switch (character)
		{
			case '\\':
				read_escape(parser, &branch);
				break;
			case '[':
				read_bracket(parser, &branch);
				break;
			case '(':
				read_group(parser, &branch, depth);
				break;
			case '.':
				end_run(&branch);
				(void) read_quantifier(parser, &is_there);
				break;
			default:
				read_anchor(parser, &branch, depth, parser->next == start + 1, character);
				break;
		}
	}
	end_run(&branch);
	pgseal_run_free(&branch.run);
	for (int i = 0; i < branch.query.num; i++)
		if (branch.query.alternatives[i].num == 0)
			branch.query.everything = true;
	*out_query = branch.query;
}

static void
parse_branches(Parser *parser, PgsealTermQuery *out_query, int depth)
{
	check_stack_depth();
	for (;;)
	{
		PgsealTermQuery branch;

		parse_branch(parser, &branch, depth);
		add_alternatives(out_query, &branch);
		if (parser->given_up || !at(parser, 0, '|'))
			break;
		parser->next++;
	}
}

/* A text as it stands, behind ***= */
static void
parse_literal(Parser *parser, PgsealTermQuery *out_query)
{
	Branch		branch = {.query.num = 1};

	while (parser->next < parser->end)
	{
		int			width = Min(pg_mblen(parser->next), parser->end - parser->next);

		if (!parser->ignore_case ||
			pgseal_folds_both_cases(parser->next, width, parser->collation))
			pgseal_run_add_character(&branch.run, parser->next, width, parser->collation);
		else
			end_run(&branch);
		parser->next += width;
	}
	end_run(&branch);
	pgseal_run_free(&branch.run);
	*out_query = branch.query;
}

/*
 * What the expression begins with: a director (***), and (?i), which ignores case.
 * Other options make it another kind of expression.
 */
static void
parse_expression(Parser *parser, PgsealTermQuery *out_query)
{
	bool		has_director = parser->end - parser->next >= 4 &&
		memcmp(parser->next, "***", 3) == 0;

	if (has_director && at(parser, 3, '='))
	{
		parser->next += 4;
		parse_literal(parser, out_query);
		return;
	}
	if (has_director && at(parser, 3, ':'))
		parser->next += 4;
	if (parser->end - parser->next >= 4 && memcmp(parser->next, "(?i)", 4) == 0)
	{
		parser->ignore_case = true;
		parser->next += 4;
	}
	parse_branches(parser, out_query, 0);
}

void
pgseal_trigrams_of_regex(PgsealTermQuery *out_query, const char *pattern, int len,
						 bool ignore_case, Oid collation)
{
	Parser		parser = {pattern, pattern + len, ignore_case, false, collation};
	text	   *compiled = cstring_to_text_with_len(pattern, len);
	bool		exact;

	/*
	 * One that is wrong is an error, also where no row would have to be
	 * compared
	 */
	(void) regexp_fixed_prefix(compiled, ignore_case, collation, &exact);
	pgseal_wipe(VARDATA_ANY(compiled), len);
	pfree(compiled);

	memset(out_query, 0, sizeof(*out_query));
	parse_expression(&parser, out_query);
	if (parser.given_up || parser.next < parser.end)
		out_query->everything = true;
}
