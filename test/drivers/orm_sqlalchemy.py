# SQLAlchemy and Alembic as docs/clients.md declares columns: orm_sqlalchemy.py HOST PORT USER DATABASE
import decimal
import sys
import warnings

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Index, Numeric, Text, create_engine, func, inspect, select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.types import UserDefinedType

warnings.simplefilter('error')


class Encrypted(UserDefinedType):
    cache_ok = True

    def __init__(self, base, key=None):
        self.base = base
        self.key = key.strip("'") if key else None

    def get_col_spec(self, **kw):
        return f"encrypted_{self.base}('{self.key}')" if self.key else f'encrypted_{self.base}'


for base in ('text bytea bool int2 int4 int8 float4 float8 numeric date time timestamp timestamptz '
             'interval uuid inet jsonb').split():
    ischema_names['encrypted_' + base] = lambda key=None, base=base: Encrypted(base, key)


class Base(DeclarativeBase):
    pass


class Person(Base):
    __tablename__ = 'person'
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(Text().with_variant(Encrypted('text'), 'postgresql'))
    salary: Mapped[decimal.Decimal | None] = mapped_column(Numeric().with_variant(Encrypted('numeric'), 'postgresql'))
    __table_args__ = (Index('person_email', text('blind_index(email)'), unique=True),)


host, port, user, database = sys.argv[1:]
engine = create_engine(f'postgresql+psycopg://{user}@/{database}?host={host}&port={port}')
Base.metadata.create_all(engine)
with Session(engine) as s:
    s.add_all([Person(id=1, email='a@x', salary=decimal.Decimal('1.50')), Person(id=2, email='b@x')])
    s.commit()
    print('lookup', [(p.id, p.email, p.salary) for p in s.scalars(select(Person).where(Person.email == 'a@x'))])
    print('sum', s.scalar(select(func.sum(Person.salary))))
    print('in', s.scalars(select(Person.id).where(Person.email.in_(['a@x', 'b@x']), Person.salary > 1)).all())
    print('like', s.scalars(select(Person.id).where(Person.email.like('a%')).order_by(Person.email.desc())).all())
    try:
        s.add(Person(id=3, email='a@x'))
        s.commit()
    except IntegrityError as error:
        s.rollback()
        print('unique', error.orig.diag.constraint_name, error.orig.diag.message_detail)
    upsert = postgresql.insert(Person).values(id=9, email='a@x').on_conflict_do_update(
        index_elements=['email'], set_={'salary': 7}).returning(Person.id)
    print('upsert', s.execute(upsert).all())
    s.commit()
print('reflected', [(c['name'], getattr(c['type'], 'key', None)) for c in inspect(engine).get_columns('person')])
with engine.connect() as connection:
    context = MigrationContext.configure(connection, opts={'compare_type': True})
    print('alembic', compare_metadata(context, Base.metadata))
