{{ config(materialized='incremental', unique_key='id', incremental_strategy=var('strategy')) }}
select id, email, salary from {{ ref('person') }}
{% if is_incremental() %} where email >= (select max(email) from {{ this }}) or salary is null {% endif %}
