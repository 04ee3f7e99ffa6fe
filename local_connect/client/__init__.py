"""What drives a server from outside: a library and a pytest plugin for tests, `rsconnect` and
`--watch`.

May import every package below it: `dashboard`, `gateway`, `api`, `runtime`, `access`, `records`
and `content`. Not `server` or `cli`, which import this one.
"""
