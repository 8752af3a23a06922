{{ config(materialized='table') }}
select * from {{ ref('person') }} where salary > 1
