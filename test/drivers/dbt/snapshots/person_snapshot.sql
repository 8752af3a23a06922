{% snapshot person_snapshot %}
{{ config(target_schema='public', unique_key='id', strategy='check', check_cols=['email', 'salary']) }}
select id, email, salary from {{ ref('person') }}
{% endsnapshot %}
