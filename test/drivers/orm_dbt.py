# dbt as docs/clients.md says: orm_dbt.py HOST PORT USER DATABASE sealed|plain
#
# With "plain" the same is done with columns of the base types.
import os
import shutil
import sys
import tempfile

import psycopg2
from dbt.cli.main import dbtRunner

host, port, user, database, kind = sys.argv[1:]
prefix = 'encrypted_' if kind == 'sealed' else ''
with tempfile.TemporaryDirectory() as directory:
    project = shutil.copytree(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'dbt'), os.path.join(directory, 'dbt'))
    with open(os.path.join(project, 'profiles.yml'), 'w') as profiles:
        profiles.write(f'people: {{target: test, outputs: {{test: {{type: postgres, host: {host}, port: {port}, user: {user}, '
                       f'password: none, dbname: {database}, schema: public, threads: 1}}}}}}\n')
    db = psycopg2.connect(host=host, port=port, user=user, dbname=database)
    db.autocommit = True
    cursor = db.cursor()

    def dbt(command, strategy='delete+insert'):
        types = ', '.join(f'{base}: {prefix}{base}' for base in ('text', 'numeric', 'date'))
        result = dbtRunner().invoke([*command.split(), '--log-level', 'none', '--project-dir', project, '--profiles-dir', project,
                                     '--vars', f'{{{types}, strategy: {strategy}}}'])
        if result.exception:
            raise result.exception
        results = getattr(result.result, 'results', None) or []
        print(command, strategy, [(r.node.name.split('__')[0], str(r.status), getattr(r, 'failures', None)) for r in results if hasattr(r, 'node')])

    def show(table):
        cursor.execute(f'SELECT * FROM {table} ORDER BY 1, 2, 3 DESC' if table != 'person_computed' else f'SELECT * FROM {table} ORDER BY 1')
        print(table, [c.name + ' ' + str(c.type_code) for c in cursor.description if not c.name.startswith('dbt_')],
              [tuple(str(v) for v in row[:4 if table != 'person_snapshot' else 3]) for row in cursor.fetchall()])

    tables = ('person', 'person_view', 'person_table', 'person_computed', 'person_incremental', 'person_snapshot')
    dbt('build')
    for table in tables:
        show(table)
    cursor.execute("UPDATE person SET email = 'changed@x' WHERE id = 1")
    cursor.execute("INSERT INTO person VALUES (4, 'd@x', 4, '2000-02-03')")
    for strategy in ('delete+insert', 'append', 'merge'):
        dbt('run', strategy)
        show('person_incremental')
    dbt('snapshot')
    dbt('run --full-refresh')
    dbt('test')
    for table in tables:
        show(table)
    dbt('docs generate')
    dbt('show --select person_table')
