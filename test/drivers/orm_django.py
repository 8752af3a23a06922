# Django as docs/clients.md declares columns: orm_django.py HOST PORT USER DATABASE
import datetime
import decimal
import io
import sys

import django
from django.conf import settings

host, port, user, database = sys.argv[1:]
settings.configure(USE_TZ=True, DATABASES={'default': {
    'ENGINE': 'django.db.backends.postgresql', 'HOST': host, 'PORT': port, 'USER': user, 'NAME': database}})
django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import IntegrityError, connection, models  # noqa: E402

TYPES = {'CharField': 'text', 'TextField': 'text', 'IntegerField': 'int4', 'BigIntegerField': 'int8',
         'DecimalField': 'numeric', 'DateField': 'date', 'DateTimeField': 'timestamptz', 'JSONField': 'jsonb',
         'BooleanField': 'bool', 'UUIDField': 'uuid', 'BinaryField': 'bytea'}


class Encrypted:
    def db_type(self, connection):
        return 'encrypted_' + TYPES[self.get_internal_type()]


class EncryptedText(Encrypted, models.TextField):
    pass


class EncryptedDecimal(Encrypted, models.DecimalField):
    pass


class EncryptedJSON(Encrypted, models.JSONField):
    pass


class EncryptedDate(Encrypted, models.DateField):
    pass


class Person(models.Model):
    email = EncryptedText()
    salary = EncryptedDecimal(max_digits=10, decimal_places=2, null=True)
    doc = EncryptedJSON(default=dict)
    born = EncryptedDate(null=True)

    class Meta:
        app_label = 'people'
        db_table = 'person_django'
        constraints = [models.UniqueConstraint(models.Func('email', function='blind_index'), name='django_email')]


with connection.schema_editor() as editor:
    editor.create_model(Person)
Person.objects.create(email='a', salary=decimal.Decimal('1.50'), doc={'k': [1, 2]}, born=datetime.date(2000, 1, 31))
Person.objects.create(email='b')
print('lookup', list(Person.objects.filter(email='a').values_list('email', 'salary', 'doc', 'born')))
print('filters', Person.objects.filter(email__icontains='A').count(), Person.objects.filter(salary__gt=1).count(),
      Person.objects.filter(doc__k=[1, 2]).count(), Person.objects.filter(born__year=2000).count(),
      Person.objects.filter(email__in=['a', 'b']).count(), Person.objects.order_by('-email').first().email)
print('sum', Person.objects.aggregate(models.Sum('salary')))
try:
    Person.objects.create(email='a')
except IntegrityError as error:
    print('unique', str(error).replace('\n', ' '))
Person.objects.filter(email='b').update(email=models.functions.Concat('email', models.Value('!')))
print('update', Person.objects.get(email='b!').email)
out = io.StringIO()
call_command('inspectdb', 'person_django', stdout=out)
print('inspectdb', [line.split()[2].split('(')[0] for line in out.getvalue().splitlines() if ' = models.' in line])
