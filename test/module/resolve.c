/*-------------------------------------------------------------------------
 *
 * resolve.c
 *	  What PostgreSQL's parser makes of an operator or a function's name and the
 *	  types of its arguments, for the tests only.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "nodes/makefuncs.h"
#include "parser/parse_func.h"
#include "parser/parse_oper.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

/* name, types of the operands (0: none on the left) → operator, 0 where none is found or several are */
PG_FUNCTION_INFO_V1(resolve_operator);
Datum
resolve_operator(PG_FUNCTION_ARGS)
{
	List	   *name = list_make1(makeString(text_to_cstring(PG_GETARG_TEXT_PP(0))));
	Oid			left = PG_GETARG_OID(1);
	Oid			right = PG_GETARG_OID(2);
	Operator	found = OidIsValid(left) ?
		oper(NULL, name, left, right, true, -1) : left_oper(NULL, name, right, true, -1);
	Oid			result = InvalidOid;

	if (found != NULL)
	{
		result = oprid(found);
		ReleaseSysCache(found);
	}
	PG_RETURN_OID(result);
}

/* name, types of the arguments → function, or the negative of a FuncDetailCode that has none */
PG_FUNCTION_INFO_V1(resolve_function);
Datum
resolve_function(PG_FUNCTION_ARGS)
{
	List	   *name = list_make1(makeString(text_to_cstring(PG_GETARG_TEXT_PP(0))));
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(1);
	Oid		   *types = (Oid *) ARR_DATA_PTR(array);
	int			num_types = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	List	   *args = NIL;
	Oid			function = InvalidOid;
	Oid			result_type;
	bool		set;
	int			num_variadic;
	Oid			variadic;
	Oid		   *declared;
	List	   *defaults;
	FuncDetailCode found;

	/* Parameters: an untyped one is not taken for a cast, as a literal is */
	for (int i = 0; i < num_types; i++)
	{
		Param	   *param = makeNode(Param);

		param->paramtype = types[i];
		args = lappend(args, param);
	}
	found = func_get_detail(name, args, NIL, num_types, types, true, true, false, &function,
							&result_type, &set, &num_variadic, &variadic, &declared, &defaults);
	PG_RETURN_INT64(found == FUNCDETAIL_NOTFOUND || found == FUNCDETAIL_MULTIPLE || found == FUNCDETAIL_COERCION ?
					-(int64) found : (int64) function);
}
