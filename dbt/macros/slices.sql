{#- The rows of `relation` once per slice dimension. A row without an account, or of an account that
    neither CRM nor billing knows, is `unknown`, so the sums over a dimension are the total. -#}
{% macro by_slice(relation) %}
    select
        measured.*,
        dimensions.slice_dimension,
        if(dimensions.slice_dimension = 'total', 'all', coalesce(slices.slice_value, 'unknown')) as slice_value,
    from {{ relation }} as measured
    cross join (
        select 'total' as slice_dimension
        union
        select slice_dimension from {{ ref('int_accounts__slices') }}
    ) as dimensions
    left join {{ ref('int_accounts__slices') }} as slices using (account_id, slice_dimension)
{% endmacro %}


{#- Every slice in every month since the first of `sums`, which has a row where something was counted. -#}
{% macro slice_months(sums) %}
    select slice_dimension, slice_value, period_start, period_end, is_complete_period,
    from (
        select slice_dimension, slice_value from {{ ref('int_accounts__slices') }}
        union
        select slice_dimension, slice_value from {{ sums }}
    )
    cross join {{ ref('int_quality__months') }}
    where period_start >= (select min(period_start) from {{ sums }})
{% endmacro %}


{#- Whether a slice is one that objectives and investments are about: the whole, or a segment. There `all` is
    the whole, whatever a segment is called. -#}
{% macro is_whole_or_segment() -%}
    (slice_dimension = 'total' or (slice_dimension = 'segment' and slice_value <> 'all'))
{%- endmacro %}
