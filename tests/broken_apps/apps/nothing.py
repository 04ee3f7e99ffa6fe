"""Nothing is wrong with this one: what it is rejected by would be the harness's own fault."""

from sound import app as app
