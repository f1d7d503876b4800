-- Cancelled and refunded orders do not count; an order that is refunded later leaves every count.
with orders as (
    {{ newest_version('orders', 'orders', 'order_id', updated_at = 'updated_at') }}
)

select *, {{ local_date('ordered_at') }} as ordered_date,
from orders
where status in ('placed', 'completed') and ordered_at < {{ as_of_end() }}
