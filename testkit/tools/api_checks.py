"""A check of our own for schemathesis: whatever is asked, no answer holds a secret.

The server under test has secrets planted wherever secrets may be; all hold the same word. What a question says of its own
accord, an answer may repeat, so no question may hold the word but in the header in which the token belongs.
"""

import schemathesis

PLANTED = b"planted-"


@schemathesis.check
def no_secret(ctx, response, case):
    headers = "\n".join(f"{name}: {values}" for name, values in response.headers.items())
    if PLANTED in response.content or PLANTED in headers.encode():
        raise AssertionError("a planted secret is in the answer")
