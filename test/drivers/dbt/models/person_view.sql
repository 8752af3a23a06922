{{ config(materialized='view') }}
select id, email, coalesce(salary, 0.0) as salary, born from {{ ref('person') }}
