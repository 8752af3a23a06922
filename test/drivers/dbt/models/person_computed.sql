-- What is computed is plain, unless it is cast
{{ config(materialized='table') }}
select id, lower(email)::{{ var('text') }} as email from {{ ref('person') }}
