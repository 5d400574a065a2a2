# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""libpq's connection strings, read and written without libpq: the host that keeps the record has nothing but Python.

Both forms are read as libpq 18 reads them: https://www.postgresql.org/docs/18/libpq-connect.html#LIBPQ-CONNSTRING
"""

from __future__ import annotations

import re
import typing as t
from urllib.parse import quote, unquote, urlencode

from ansible_collections.opsready.golive.plugins.module_utils._core.errors import BadInput

#: libpq's keywords that say where and how to connect, each with the variable that says the same; none is a secret.
VARIABLES: t.Mapping[str, t.Optional[str]] = {
    "application_name": "PGAPPNAME",
    "channel_binding": "PGCHANNELBINDING",
    "client_encoding": "PGCLIENTENCODING",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "dbname": "PGDATABASE",
    "fallback_application_name": None,
    "gssdelegation": "PGGSSDELEGATION",
    "gssencmode": "PGGSSENCMODE",
    "gsslib": "PGGSSLIB",
    "host": "PGHOST",
    "hostaddr": "PGHOSTADDR",
    "keepalives": None,
    "keepalives_count": None,
    "keepalives_idle": None,
    "keepalives_interval": None,
    "krbsrvname": "PGKRBSRVNAME",
    "load_balance_hosts": "PGLOADBALANCEHOSTS",
    "max_protocol_version": "PGMAXPROTOCOLVERSION",
    "min_protocol_version": "PGMINPROTOCOLVERSION",
    "oauth_client_id": None,
    "oauth_issuer": None,
    "oauth_scope": None,
    "options": "PGOPTIONS",
    "passfile": "PGPASSFILE",
    "port": "PGPORT",
    "require_auth": "PGREQUIREAUTH",
    "requirepeer": "PGREQUIREPEER",
    "service": "PGSERVICE",
    "servicefile": "PGSERVICEFILE",
    "ssl_max_protocol_version": "PGSSLMAXPROTOCOLVERSION",
    "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
    "sslcert": "PGSSLCERT",
    "sslcertmode": "PGSSLCERTMODE",
    "sslcompression": "PGSSLCOMPRESSION",
    "sslcrl": "PGSSLCRL",
    "sslcrldir": "PGSSLCRLDIR",
    "sslkey": "PGSSLKEY",
    "sslmode": "PGSSLMODE",
    "sslnegotiation": "PGSSLNEGOTIATION",
    "sslrootcert": "PGSSLROOTCERT",
    "sslsni": "PGSSLSNI",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
    "tcp_user_timeout": None,
    "user": "PGUSER",
}
_SECRET = re.compile(r"^(?:(?:ssl)?password|oauth_client_secret|scram_(?:client|server)_key)$")
_URI = re.compile(r"^(?:postgres|postgresql)(?:\+[a-z0-9_]+)?://", re.IGNORECASE)
_PAIR = re.compile(r"\s*(?P<key>[^\s=]+)\s*=\s*(?:'(?P<quoted>(?:[^'\\]|\\.)*)'(?=\s|$)|(?P<plain>(?!')(?:[^\s\\]|\\.)*))", re.DOTALL)  # fmt: skip
_PLACE = re.compile(r"(?:\[(?P<address>[^\]]+)\]|(?P<host>[^\[\]:]*))(?::(?P<port>\d*))?$")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_BARE = re.compile(r"[\w./:,@+-]+", re.ASCII)
_REMEDY = "Write it as postgresql://user@host:port/database."


def parsed(dsn: str, *, name: str = "dsn") -> dict[str, str]:
    """A DSN as libpq's keywords; ``name`` is what messages call it. SQLAlchemy's ``postgresql+driver://`` is understood.

    Raises BadInput when it cannot be read, when it holds a keyword that libpq does not know, and when it holds a secret.
    """
    text = dsn.strip()
    if not text:
        raise BadInput(f"{name} is empty.", remedy=_REMEDY)
    uri = _URI.match(text)
    pairs = _of_uri(text[uri.end() :], name) if uri else _of_words(text, name)
    parts: dict[str, str] = {}
    for key, value in pairs:
        if _SECRET.match(key):
            raise BadInput(
                f"{name} holds a {key}, and option values are printed at -vvv.",
                remedy="Pass it as a secret of its own.",
            )
        if key not in VARIABLES:
            raise BadInput(f"{name} holds {key!r}, which libpq does not know.", remedy=_REMEDY)
        parts[key] = value
    return parts


def _of_words(text: str, name: str) -> t.Iterator[tuple[str, str]]:
    position = 0
    while position < len(text):
        found = _PAIR.match(text, position)
        if found is None:  # its text may hold a password
            raise BadInput(f"{name} cannot be read.", remedy=_REMEDY)
        value = found["plain"] if found["quoted"] is None else found["quoted"]
        yield found["key"], _ESCAPED.sub(r"\1", value)
        position = found.end()


def _of_uri(text: str, name: str) -> t.Iterator[tuple[str, str]]:
    def decoded(part: str) -> str:
        try:
            if not re.search(r"%(?![0-9A-Fa-f]{2})|%00|\s", part):
                return unquote(part, errors="strict")
        except UnicodeDecodeError:
            raise BadInput(f"{name} cannot be read: what is percent-encoded in it is no UTF-8.")
        raise BadInput(f"{name} cannot be read: a % or a blank in it is not percent-encoded.", remedy="Write %25, %20.")

    login, at, rest = text.partition("@")
    if not at or "/" in login:
        login, rest = "", text
    head, asked, query = rest.partition("?")
    places, unused, path = head.partition("/")
    user, colon, password = login.partition(":")
    if user:
        yield "user", decoded(user)
    if colon and password:
        yield "password", ""
    hosts, ports = [], []
    for place in places.split(","):
        found = _PLACE.match(place)
        if found is None:
            raise BadInput(f"{name} cannot be read: it names no host and port that libpq would find.", remedy=_REMEDY)
        hosts.append(decoded(found["address"] or found["host"] or ""))
        ports.append(found["port"] or "")
    if "".join(hosts) or len(hosts) > 1:
        yield "host", ",".join(hosts)
    if "".join(ports) or len(ports) > 1:
        yield "port", ",".join(ports)
    if path:
        yield "dbname", decoded(path)
    for word in query.split("&") if asked and query else []:
        key, equals, value = word.partition("=")
        if not equals or "=" in value:
            raise BadInput(f"{name} cannot be read after the question mark.", remedy=_REMEDY)
        if decoded(key) == "ssl":
            yield "sslmode", "require" if decoded(value) == "true" else decoded(value)
        else:
            yield decoded(key), decoded(value)


def database_of(parts: t.Mapping[str, str], *, name: str = "dsn") -> str:
    """The database that is named. Raises BadInput where it is left to the environment, which may differ elsewhere."""
    if not parts.get("dbname"):
        raise BadInput(f"{name} names no database.", remedy=_REMEDY)
    return parts["dbname"]


def written(parts: t.Mapping[str, str], dbname: str) -> str:
    """The same place in libpq's keyword form, for another database."""
    return " ".join(f"{key}={_quoted(value)}" for key, value in {**parts, "dbname": dbname}.items())


def _quoted(value: str) -> str:
    if _BARE.fullmatch(value):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


#: Drivers of SQLAlchemy that do not call it ``dbname``, as libpq does.
_SAY_DATABASE = ("+asyncpg", "+pg8000")


def url_of(parts: t.Mapping[str, str], database: str, scheme: str) -> str:
    """The same place as an application's URL, for another database and without a password (PGPASSFILE has it).

    Several hosts stand in the query, where SQLAlchemy looks for them; so does a name that a path would have to quote, since
    SQLAlchemy before 2.1 takes a path's name as it stands.
    """
    host, port = parts.get("host") or parts.get("hostaddr", ""), parts.get("port", "")
    user = parts.get("user", "")
    query = {key: parts[key] for key in ("sslmode", "sslrootcert", "sslcert", "sslkey") if key in parts}
    if host.startswith("/") or "," in host:
        query["host"], host = host, ""
        if port:
            query["port"], port = port, ""
    path = quote(database, safe="")
    if path != database:
        query["database" if scheme.endswith(_SAY_DATABASE) else "dbname"], path = database, ""
    login = f"{quote(user, safe='')}@" if user else ""
    place = f"[{host}]" if ":" in host else quote(host, safe=".,-")
    address = place + (f":{port}" if port else "")
    return f"{scheme}://{login}{address}/{path}" + (f"?{urlencode(query, quote_via=quote)}" if query else "")
