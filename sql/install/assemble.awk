# Assembles the extension's SQL script:
#
#   awk -f assemble.awk types.txt 00_begin.sql 10_types.sql.in ... > pgseal--1.0.sql
#
# A *.sql file is copied.  A *.sql.in file is copied once for each row of
# types.txt, with @name@ replaced by the row's value in the column `name`.
# The first line of types.txt that is neither empty nor a comment (#) names
# the columns; blanks separate columns.  A placeholder without a column and
# a row of the wrong length are errors.

function fail(where, what)
{
	print where ": " what > "/dev/stderr"
	failed = 1
	exit 1
}

# The line with the placeholders of row r filled in.
function fill(line, r,    out, name)
{
	out = ""
	while (match(line, /@[a-z][a-z0-9_]*@/))
	{
		name = substr(line, RSTART + 1, RLENGTH - 2)
		if (!(name in column))
			fail(template, "no column " name " in types.txt")
		out = out substr(line, 1, RSTART - 1) value[r, column[name]]
		line = substr(line, RSTART + RLENGTH)
	}
	return out line
}

# Prints the template read so far, once for each row.
function expand(    r, i)
{
	for (r = 1; r <= rows; r++)
		for (i = 1; i <= lines; i++)
			print fill(text[i], r)
	lines = 0
}

FNR == 1			{ expand(); template = FILENAME }

FILENAME == ARGV[1] && /^[ \t]*(#|$)/ { next }

FILENAME == ARGV[1] && !columns {
	columns = NF
	for (i = 1; i <= NF; i++)
		column[$i] = i
	next
}

FILENAME == ARGV[1] {
	if (NF != columns)
		fail(FILENAME ":" FNR, "expected " columns " columns, found " NF)
	rows++
	for (i = 1; i <= NF; i++)
		value[rows, i] = $i
	next
}

FILENAME ~ /\.in$/	{ text[++lines] = $0; next }

				{ print }

END				{ if (!failed) expand() }
