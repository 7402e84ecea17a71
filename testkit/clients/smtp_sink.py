"""An SMTP server for tests: aiosmtpd, which is not ours, behind a few switches.

It listens on a free loopback port and prints one JSON line per thing that happens: first `{"port": …}`, then one line per
mail it took, parsed by Python's own mail parser, so that a test sees what a mail program would show. It refuses what it
is told to refuse, delivers nothing anywhere, and ends when its standard input does, so it cannot outlive its test.
"""

import argparse
import asyncio
import json
import logging
import ssl
import sys
import warnings
from email import message_from_bytes, policy

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


def tell(**fields):
    print(json.dumps(fields), flush=True)


class Handler:
    def __init__(self, options):
        self.options = options
        self.replies = list(options.reply)

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        if address in self.options.refuse:
            return "550 5.1.1 no such person here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if self.replies:
            reply = self.replies.pop(0)
            tell(refused=reply)
            return reply
        message = message_from_bytes(envelope.content, policy=policy.default)
        tell(
            mail_from=envelope.mail_from,
            rcpt_tos=envelope.rcpt_tos,
            encrypted=session.ssl is not None or self.options.security == "tls",
            authenticated=bool(session.authenticated),
            headers=[[name, str(value)] for name, value in message.items()],
            text=message.get_content(),
        )
        return "250 2.0.0 taken"


async def until_input_ends():
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, sys.stdin.read)


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--security", choices=["starttls", "tls", "none"], default="none")
    parser.add_argument("--certificate", help="PEM file")
    parser.add_argument("--key", help="PEM file")
    parser.add_argument("--user")
    parser.add_argument("--password")
    parser.add_argument("--refuse", action="append", default=[], help="an address that gets 550")
    parser.add_argument("--reply", action="append", default=[], help="answer to the next mail, such as '451 later'")
    parser.add_argument("--hang", action="store_true", help="accept connections and say nothing")
    options = parser.parse_args()

    # aiosmtpd warns, rightly, of logins in the open; here they are what is tested.
    warnings.simplefilter("ignore")
    logging.getLogger("mail.log").setLevel(logging.ERROR)

    context = None
    if options.security != "none":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.certificate, options.key)

    def authenticate(server, session, envelope, mechanism, data):
        wanted = (options.user.encode(), options.password.encode())
        given = (data.login, data.password) if isinstance(data, LoginPassword) else None
        return AuthResult(success=given == wanted, handled=False)

    handler = Handler(options)

    def connection():
        if options.hang:
            return asyncio.Protocol()
        return SMTP(
            handler,
            hostname="localhost",
            tls_context=context if options.security == "starttls" else None,
            require_starttls=options.security == "starttls",
            auth_required=options.user is not None,
            auth_require_tls=options.security == "starttls",
            authenticator=authenticate if options.user is not None else None,
            loop=asyncio.get_running_loop(),
        )

    server = await asyncio.get_running_loop().create_server(
        connection, "127.0.0.1", 0, ssl=context if options.security == "tls" else None
    )
    tell(port=server.sockets[0].getsockname()[1])
    await until_input_ends()


asyncio.run(main())
