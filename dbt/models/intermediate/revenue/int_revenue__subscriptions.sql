{{ newest_snapshot([['billing', 'subscriptions'], ['ravenstack', 'subscriptions']]) }}
