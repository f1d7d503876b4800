{{ newest_snapshot([['crm', 'accounts'], ['ravenstack', 'accounts']]) }}
