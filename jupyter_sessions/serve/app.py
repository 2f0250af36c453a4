"""The program: its options, and its life from the start to a signal."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_core.application import JupyterApp, base_aliases, base_flags
from jupyter_core.paths import jupyter_data_dir
from jupyter_server.auth import AllowAllAuthorizer, Authorizer, IdentityProvider
from traitlets import Bool, Integer, Set, TraitError, Type, Unicode, default

from jupyter_sessions.config.tokens import TokensFault, read_tokens
from jupyter_sessions.engines.process.accounts import ROOT, SHORT, Accounts
from jupyter_sessions.handlers.gate import Gate
from jupyter_sessions.model import names
from jupyter_sessions.serve import identity
from jupyter_sessions.serve.gateway import GatewaySetup
from jupyter_sessions.serve.gateway_rules import MOST_WEBSOCKETS
from jupyter_sessions.serve.identity import Admission, OwnToken, TokenIdentityProvider, Users
from jupyter_sessions.serve.server import Server, write_port
from jupyter_sessions.serve.service import Plan, Service
from jupyter_sessions.serve.settings import Address, Refused, handler_settings
from jupyter_sessions.service.core import Limits

DAY = 86_400
LIMIT: dict[str, Any] = {"min": 600, "max": 14 * DAY}
"""What the API allows for ``ttl`` and ``idleTtl``, in seconds."""
TOKEN_FILE = "serve.token"  # noqa: S105 - a file's name


class ServeApp(JupyterApp):
    """The sessions service without JupyterLab, for other machines and other people."""

    name = "jupyter-sessions-serve"
    description = (
        "Serve sessions and their kernels over HTTP. Users come from a file of hashed tokens (--tokens), or from a "
        "Jupyter identity provider (ServeApp.identity_provider_class in a --config file). With neither there is one "
        "user, the account that runs this, with a token that is made at the first start and kept. Run as root it "
        "serves every account of this machine, each user's sessions as that account; else only its own."
    )
    examples = """
    jupyter sessions serve --port 8890
    jupyter sessions serve --ip 0.0.0.0 --certfile tls.crt --keyfile tls.key --tokens /etc/jupyter/tokens
    jupyter sessions serve --config provider.py --behind-proxy --admin alice
    """

    ip = Unicode("127.0.0.1", help="The address to listen on; an empty one is every address.").tag(config=True)
    port = Integer(8890, min=0, max=65_535, help="The port to listen on; 0 takes a free one.").tag(config=True)
    port_file = Unicode(help="A file to write the port to, once the service is ready.").tag(config=True)
    sessions_dir = Unicode(help="Where sessions are kept; default: jupyter_sessions_serve in Jupyter's data dir.").tag(
        config=True
    )
    location = Unicode("projects/local/locations/serve", help="The name of the location that is served.").tag(
        config=True
    )
    location_title = Unicode("Sessions service", help="What people read for the location.").tag(config=True)
    tokens = Unicode(help="A file of hashed tokens, NAME:sha256:HEX a line.").tag(config=True)
    admins = Set(Unicode(), help="Users who see and touch everybody's sessions.").tag(config=True)
    certfile = Unicode(help="The TLS certificate, with its chain, in PEM.").tag(config=True)
    keyfile = Unicode(help="The certificate's private key, where it is another file.").tag(config=True)
    behind_proxy = Bool(
        False,
        help="TLS ends at a proxy in front: plain http is fine on any address, X-Forwarded-* headers are believed.",
    ).tag(config=True)
    template_kernels = Bool(
        False, help="Offer a kernelspec for each template, too; to start its kernel makes a session."
    ).tag(config=True)
    root_dir = Unicode(
        "~", help="Where sessions begin that name no local:cwd; where several users are served, each in their home."
    ).tag(config=True)
    accounts_dir = Unicode(
        str(ROOT), help="Where each user's sessions have their files, in a directory of their account; for root."
    ).tag(config=True)
    sockets_dir = Unicode(str(SHORT), help="Where sockets lie whose path would be too long there; for root.").tag(
        config=True
    )
    system_accounts = Bool(False, help="System accounts (user ids below 1000) may have sessions, too.").tag(config=True)
    no_login_accounts = Bool(False, help="Accounts that may not log in may have sessions, too.").tag(config=True)
    max_sessions = Integer(0, min=0, help="How many sessions of one user may live at a time; 0: any.").tag(config=True)
    max_websockets = Integer(
        MOST_WEBSOCKETS,
        min=0,
        help="How many websockets of kernels one user may have open at a time, each with a message of up to 1 GiB in "
        "memory; 0: any.",
    ).tag(config=True)
    default_ttl = Integer(14 * DAY, **LIMIT, help="A session's ttl where it names none, in seconds.").tag(config=True)
    max_ttl = Integer(14 * DAY, **LIMIT, help="The longest ttl a session may ask for, in seconds.").tag(config=True)
    default_idle_ttl = Integer(DAY, **LIMIT, help="A session's idleTtl where it names none, in seconds.").tag(
        config=True
    )
    max_idle_ttl = Integer(14 * DAY, **LIMIT, help="The longest idleTtl a session may ask for, in seconds.").tag(
        config=True
    )
    identity_provider_class = Type(
        TokenIdentityProvider, klass=IdentityProvider, help="Who tells users apart; the default knows tokens alone."
    ).tag(config=True)
    authorizer_class = Type(AllowAllAuthorizer, klass=Authorizer, help="Who says what a user may do.").tag(config=True)
    kernel_spec_manager_class = Type(KernelSpecManager, help="What lists the kernels a session may run.").tag(
        config=True
    )

    # Who the users are may stand in the configuration: without it nobody must be served.
    raise_config_file_errors = True
    classes = [TokenIdentityProvider, KernelSpecManager]  # noqa: RUF012 - traitlets' own attribute
    aliases = {  # noqa: RUF012 - as above
        **base_aliases,
        "ip": "ServeApp.ip",
        "host": "ServeApp.ip",
        "port": "ServeApp.port",
        "port-file": "ServeApp.port_file",
        "data-dir": "ServeApp.sessions_dir",
        "location": "ServeApp.location",
        "tokens": "ServeApp.tokens",
        "admin": "ServeApp.admins",
        "certfile": "ServeApp.certfile",
        "keyfile": "ServeApp.keyfile",
    }
    flags = {  # noqa: RUF012 - as above
        **base_flags,
        "behind-proxy": ({"ServeApp": {"behind_proxy": True}}, "TLS ends at a proxy in front of this service."),
        "template-kernels": ({"ServeApp": {"template_kernels": True}}, "Offer a kernelspec for each template, too."),
    }

    @default("sessions_dir")
    def _default_sessions_dir(self) -> str:
        return str(Path(jupyter_data_dir()) / "jupyter_sessions_serve")

    def load_config_file(self, suppress_errors: bool = False) -> None:  # type: ignore[override]  # JupyterApp's own
        """Load the configuration; raises Refused where it is not there or fails."""
        if self.config_file and not Path(self.config_file).is_file():
            raise Refused(f"--config: there is no file {self.config_file}")
        try:
            super().load_config_file(suppress_errors=False)
        except (TraitError, SystemExit):
            raise
        except Exception as error:
            raise Refused(f"the configuration cannot be read: {type(error).__name__}: {error}") from error

    def start(self) -> None:
        """Serve until SIGTERM or SIGINT; raises Refused or SessionsError for what cannot be served."""
        super().start()
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        address = Address(self.ip, self.port, self.certfile, self.keyfile, self.behind_proxy)
        address.tls()
        own = identity.account()
        users = self._users(own)
        service = Service(self._plan(self._accounts() if users.several else None))
        setup = self._setup(service, Admission(own, users.refusal))
        authorizer = self.authorizer_class(parent=self, identity_provider=users.provider)
        settings = handler_settings(address, users.provider, authorizer, self.config, _log_request)
        server = Server(service, setup, settings, address)
        port = server.listen()
        try:
            await service.start()
            setup.gate.open(service.router)
            self._announce(address.url(port), port, users.token)
            await stop.wait()
            print("stopping …", file=sys.stderr, flush=True)
        finally:
            await server.stop()
            await setup.close()
            await service.stop()
        print("stopped; its sessions run on, and the next start finds them", file=sys.stderr, flush=True)

    def _setup(self, service: Service, admission: Admission) -> GatewaySetup:
        return GatewaySetup(
            Gate(),
            frozenset(self.admins),
            name_caller=admission,
            hosts=service.embedded,
            template_kernels=self.template_kernels,
            max_websockets=self.max_websockets,
        )

    def _users(self, own: str) -> Users:
        """Say who is served; raises Refused."""
        provider = self.identity_provider_class(parent=self)
        root = os.geteuid() == 0
        if not isinstance(provider, TokenIdentityProvider):
            if self.tokens:
                raise Refused("--tokens and ServeApp.identity_provider_class both say who the users are; keep one")
            identity.check_provider(provider)
            return Users(provider, several=root, own=own)
        if not self.tokens:
            provider.known = token = OwnToken(own, self._data_dir() / TOKEN_FILE)
            return Users(provider, several=False, own=own, token=token)
        try:
            provider.known = known = read_tokens(Path(self.tokens))
        except TokensFault as error:
            raise Refused(str(error)) from error
        users = Users(provider, several=root and set(known.names) != {own}, own=own)
        for name in known.names:
            if why := users.refusal(name):
                raise Refused(f"{self.tokens} names {name}: {why}")
        return users

    def _accounts(self) -> Accounts:
        """Give the accounts that sessions run as; raises FailedPrecondition."""
        return Accounts(
            Path(self.accounts_dir),
            Path(self.sockets_dir),
            system_accounts=self.system_accounts,
            no_login_accounts=self.no_login_accounts,
        )

    def _plan(self, accounts: Accounts | None) -> Plan:
        ttl, idle_ttl = min(self.default_ttl, self.max_ttl), min(self.default_idle_ttl, self.max_idle_ttl)
        return Plan(
            data_dir=self._data_dir(),
            location=names.parse_location(self.location, "--location"),
            display_name=self.location_title,
            limits=Limits(ttl, self.max_ttl, idle_ttl, self.max_idle_ttl, self.max_sessions),
            root_dir=self.root_dir,
            kernel_spec_manager=self.kernel_spec_manager_class(parent=self),
            events=self._events(),
            accounts=accounts,
        )

    def _data_dir(self) -> Path:
        return Path(self.sessions_dir).expanduser().absolute()

    def _events(self) -> Any:
        """Give Jupyter's event logger where one is configured: its library alone takes seconds to load."""
        if "EventLogger" not in self.config:
            return None
        from jupyter_events import EventLogger

        return EventLogger(parent=self)

    def _announce(self, url: str, port: int, token: OwnToken | None) -> None:
        """Say on stdout, in one line, where the service is, and its token if it was made just now."""
        line = f"Jupyter Sessions is served at {url}"
        if token is not None:
            path = self._data_dir() / TOKEN_FILE
            try:
                token.keep()
            except OSError as error:
                raise Refused(f"the token cannot be written to {path}: {error.strerror or error}") from error
            line = f"{line} with the token {token.token} (kept in {path})"
        if self.port_file:
            try:
                write_port(Path(self.port_file), port)
            except OSError as error:
                raise Refused(f"--port-file: {self.port_file}: {error.strerror or error}") from error
        print(line, flush=True)
        print("Ctrl-C stops it; its sessions run on", file=sys.stderr, flush=True)


def _log_request(handler: Any) -> None:
    """Log an answer without its query, which may hold what somebody took for a credential."""
    status, request = handler.get_status(), handler.request
    log = handler.settings["identity_provider"].log
    write = log.debug if status < 400 else log.warning if status < 500 else log.error
    user = getattr(handler.current_user, "username", "-") if hasattr(handler, "_jupyter_current_user") else "-"
    write(
        "%d %s %s (%s of %s) %.0f ms",
        status,
        request.method,
        request.path,
        user,
        request.remote_ip,
        1000 * request.request_time(),
    )
